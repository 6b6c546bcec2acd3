"""Presets, wells and sites, and the folders of the Cell Painting Gallery."""
