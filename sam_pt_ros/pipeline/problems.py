"""What went wrong since the newest result, in words for a user."""

from __future__ import annotations

from dataclasses import dataclass

from sam_pt_ros.errors import UserError


@dataclass(frozen=True)
class Report:
    """The problems that one result carries.

    Attributes:
        problems: one line each.
        failed: whether a model failed.
    """

    problems: tuple[str, ...]
    failed: bool


class Problems:
    """Collects problems until the next result carries them.

    Attributes:
        streak: results in a row, up to the newest, that reported a failed model.
    """

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Forget everything."""
        self._notes: list[str] = []
        self._failures: list[str] = []  # of models
        self.end_streak()

    def end_streak(self) -> None:
        """Count failed results from 0 again: a new stream begins."""
        self.streak = 0

    @property
    def failed(self) -> bool:
        """Whether a model has failed since the newest result."""
        return bool(self._failures)

    def note(self, what: str, error: Exception | None = None, failed: bool = True) -> None:
        """Report a problem with the next result.

        Args:
            what: what happened.
            error: its cause. None: the attempt succeeded in the end.
            failed: whether ``error`` means that a model has failed.
        """
        if error is None:
            self._notes.append(what)
            return
        reason = error if isinstance(error, UserError) else repr(error)
        (self._failures if failed else self._notes).append(f"{what}: {reason}")

    def report(self) -> Report:
        """The problems since the last call, for the newest result; the streak counts it."""
        notes, self._notes = self._notes, []
        failures, self._failures = self._failures, []
        self.streak = self.streak + 1 if failures else 0
        return Report((*notes, *failures), bool(failures))
