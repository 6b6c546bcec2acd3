"""Object stores and local folders: list, fetch into the cache, publish.

Only this room imports cloudpathlib, boto3's S3 and obstore.
"""
