"""That an object store does not answer: a module of its own, for the command line, which imports nothing heavy."""


class StoreAwayError(Exception):
    """The store does not answer; the same may well succeed later."""
