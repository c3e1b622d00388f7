"""Errors that a user can cause and fix."""

from __future__ import annotations


class UserError(ValueError):
    """Bad input. The message is one line: what is wrong, where, and how to fix it."""


class FrameUnavailableError(UserError):
    """The requested frame is not, or no longer, in the history."""


class UnknownObjectError(UserError):
    """There is no object with this id."""


def counted(number: int, noun: str) -> str:
    """A number of things in words: "1 image", "2 images"."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def one_line(text: object) -> str:
    """A text, or the message of an error, without line breaks."""
    return " ".join(str(text).split())
