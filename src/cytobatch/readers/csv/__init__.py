"""CSV files: headers, and rows as typed columns."""
