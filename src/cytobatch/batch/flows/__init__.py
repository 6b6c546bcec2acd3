"""Prefect: flows, tasks, settings and the ephemeral server. The only importer of Prefect.

`session`, `bookkeeping` and `settings` do not import Prefect themselves, because Prefect reads its settings when it is
imported, and because a plate may need no record.
"""
