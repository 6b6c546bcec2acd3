"""DeepProfiler: NPZ files of embeddings. Registered as `FORMAT` in `format.py`."""
