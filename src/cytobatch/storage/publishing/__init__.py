"""The publication of a plate: outputs are prepared out of sight, named in a journal, and then put in place."""
