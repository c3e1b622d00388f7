"""The errors that a user can cause and can put right."""

from __future__ import annotations


class UserError(ValueError):
    """Bad input: one line that says what was wrong, where, and what to do about it."""


class FrameUnavailableError(UserError):
    """A frame was asked for that is not, or no longer, in the history."""


class UnknownObjectError(UserError):
    """An object id was used that is not being tracked."""
