"""Starts and stops every process of the product on one machine: `python -m reviewapp.stack run`.

Nothing in here imports Django except `prepare`, which runs as a process of its own.
"""
