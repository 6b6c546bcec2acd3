"""DeepProfiler: NPZ files of embeddings."""
