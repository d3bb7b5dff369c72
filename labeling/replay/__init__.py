"""A client of the public API that replays recorded work: a model service and people in one process.

It sees only what anyone outside sees: no ORM, no settings, and of the stages only their pure modules.
"""
