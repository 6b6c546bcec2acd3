"""AWS Batch: plates sized, priced and submitted as array jobs, and their states.

`client` is the only importer of botocore here; decisions are plain functions over frozen values.
"""
