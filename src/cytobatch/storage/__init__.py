"""Object stores and local folders behind one face: list, fetch into the cache, publish.

The only importer of cloudpathlib, boto3 and obstore.
"""

from cytobatch.storage.access import Access, faults, is_remote, read_text
from cytobatch.storage.destination import Destination
from cytobatch.storage.source import Source, list_folders

__all__ = ["Access", "Destination", "Source", "faults", "is_remote", "list_folders", "read_text"]
