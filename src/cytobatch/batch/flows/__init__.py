"""Prefect: flows and tasks. The only importer of Prefect.

Import `settings` first and prepare with it: Prefect reads its settings when it is imported.
"""
