"""Many plates: collected reports, Prefect flows, array jobs of AWS Batch."""
