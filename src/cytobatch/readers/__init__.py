"""Bytes in, Arrow out. Each reader knows one file type and nothing of profiles."""
