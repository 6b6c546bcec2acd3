"""Many plates: their reports collected, their Prefect flows, their array jobs of AWS Batch."""
