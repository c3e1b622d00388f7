"""The error of an evaluation that leaves something to be desired."""


class IncompleteError(RuntimeError):
    """The results are there, but cover only a part of the input or are worse than allowed."""
