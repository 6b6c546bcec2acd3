"""One plate from job to report, without Prefect.

Entry functions: `run_plate()` (`plate.py`) converts a plate; `convert()` and `plan()` (`api.py`) are the public API;
`describe_job()` (`describe.py`) plans a plate without converting it; `resolve_jobs()` (`resolve_jobs.py`) turns
options into the jobs of plates.
"""
