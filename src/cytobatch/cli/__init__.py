"""The command line: parse, print, exit codes. The only importer of cyclopts, and the only room that prints."""
