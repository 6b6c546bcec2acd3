"""Readers: a table of one file in, Arrow out. Each knows one format and nothing of profiles."""
