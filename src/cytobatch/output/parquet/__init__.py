"""Parquet: the sink, its writers, and the footers that join the columns of several writers in one file."""
