"""The run report as data, and its summaries and pages. No I/O."""
