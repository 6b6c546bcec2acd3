"""Prefect: flows, tasks, settings and the ephemeral server. The only importer of Prefect.

`session` and `settings` do not import Prefect themselves, because Prefect reads its settings when it is imported.
"""
