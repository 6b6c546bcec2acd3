"""Object stores and local folders behind one face: list, fetch into the cache, publish.

The only importer of cloudpathlib, boto3's S3 and obstore.
"""

from cytobatch.storage.access import USER_AGENT, Access, Clients, faults, is_remote, read_text
from cytobatch.storage.destination import Destination, write_text
from cytobatch.storage.session import make_session
from cytobatch.storage.source import Source, list_folders
from cytobatch.storage.texts import StoredReport, publish_files, read_reports

__all__ = [
    "USER_AGENT", "Access", "Clients", "Destination", "Source", "StoredReport", "faults", "is_remote", "list_folders",
    "make_session", "publish_files", "read_reports", "read_text", "write_text",
]  # fmt: skip
