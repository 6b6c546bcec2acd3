"""Molecular Devices IN Carta: CSV files of whole rows."""
