"""cytobatch: a plate of single-cell measurements in, one joined and verified Parquet profile out."""

__version__ = "0.1.0"
