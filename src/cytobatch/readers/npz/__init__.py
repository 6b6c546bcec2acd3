"""NPZ files of DeepProfiler."""
