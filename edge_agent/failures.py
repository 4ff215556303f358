"""What stands behind a group of exceptions."""

from __future__ import annotations


def first_cause(error: BaseException) -> BaseException:
    """The first exception of a group, of a group in it, and so on; any other exception is its own."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
