"""Errors that are one sentence for whoever started the work.

The command line prints them as they stand. Any other exception is a fault of the run or
of the program, and is shown with its type.
"""

from __future__ import annotations

__all__ = ["InputError", "InputTypeError", "RunError"]


class InputError(ValueError):
    """What was asked for is not possible; the message says what to do (exit code 2)."""


class InputTypeError(InputError, TypeError):
    """An argument is of a type that cannot be used; says which ones can."""


class RunError(RuntimeError):
    """The work could not go on, through no fault of the input (exit code 1)."""
