"""Counts, from outside the code that writes, whether anything was lost or doubled. Only reads."""
