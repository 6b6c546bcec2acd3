"""NPZ files of DeepProfiler: arrays, and metadata in a pickle that is read without running code."""
