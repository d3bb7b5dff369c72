"""Backup and restore of database and dataset files, to one moment. The only code that runs PostgreSQL's own programs."""
