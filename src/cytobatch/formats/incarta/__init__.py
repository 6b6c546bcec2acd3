"""Molecular Devices IN Carta: CSV files of whole rows. Registered as `FORMAT` in `format.py`."""
