"""One plate from job to report, without Prefect."""
