"""A surveyed plate in, files on the scratch disk out."""
