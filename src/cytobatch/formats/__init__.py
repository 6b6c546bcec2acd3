"""File formats, one folder for each."""
