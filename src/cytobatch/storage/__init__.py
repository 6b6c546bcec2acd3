"""Object stores and local folders: list, fetch into the cache, publish.

The only importer of cloudpathlib, boto3's S3 and obstore.
"""
