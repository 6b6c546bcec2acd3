"""Folders that tests read: the repository, and the real measurements that lie beside it on some machines."""

from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
SHARED_DATA = REPOSITORY.parent / "shared" / "data"
