"""Files read as Arrow record batches. Each reader knows one file type, and nothing of profiles."""
