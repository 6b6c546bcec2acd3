"""Prefect: the steps of a plate as tasks of a flow. The only importer of Prefect.

Import `environment` first and prepare with it: Prefect reads its settings when it is imported.
"""
