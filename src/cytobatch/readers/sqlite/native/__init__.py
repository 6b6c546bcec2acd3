"""SQLite tables decoded from the pages of their files, with NumPy."""
