"""Files of profile rows: a protocol for sinks, and two of them, Parquet and AnnData."""
