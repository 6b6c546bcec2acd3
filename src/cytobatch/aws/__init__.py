"""AWS Batch: plates sized, priced and submitted as array jobs, and what became of them.

`service` is the only importer of boto3 here; what is decided is decided in plain functions over frozen values.
"""
