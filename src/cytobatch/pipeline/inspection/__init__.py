"""What lies at a path: a source, a result, or a single Parquet file."""
