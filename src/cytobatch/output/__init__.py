"""Files of profile rows: Parquet and AnnData."""
