"""Which messages of a recording were skipped, and why, in a bounded number of lines."""

from __future__ import annotations

from sam_pt_ros.recordings.rosbag2 import serialized_stamp
from sam_pt_ros.recordings.storage_files import Message

MOST_LINES = 10
"""So many messages of a topic have a line of their own; the others are only counted."""

_HEADED = 12  # bytes of a serialised message that begins with a stamp


class SkippedMessages:
    """Collects why messages were skipped."""

    def __init__(self) -> None:
        self._lines: dict[str, list[str]] = {}  # by topic
        self._counts: dict[str, int] = {}

    def add(self, message: Message, reason: object, what: str = "a message") -> None:
        """Say why a message was skipped, and what it is."""
        self._take(message.topic, [f"{what} on {place(message)} was skipped: {reason}"], 1)

    def add_all(self, later: SkippedMessages) -> None:
        """Go on with what another one has collected."""
        for topic, lines in later._lines.items():
            self._take(topic, lines, later._counts[topic])

    def _take(self, topic: str, lines: list[str], count: int) -> None:
        kept = self._lines.setdefault(topic, [])
        kept += lines[: MOST_LINES - len(kept)]
        self._counts[topic] = self._counts.get(topic, 0) + count

    @property
    def lines(self) -> list[str]:
        """A line for each message; one for all beyond :data:`MOST_LINES` of a topic."""
        made = []
        for topic, lines in self._lines.items():
            made += lines
            rest = self._counts[topic] - len(lines)
            if rest:
                made.append(f"{rest} more of '{topic}' {'was' if rest == 1 else 'were'} skipped")
        return made


def place(message: Message) -> str:
    """The topic and the stamp of a message; its time of receipt if its bytes hold no stamp."""
    data = message.data
    if len(data) >= _HEADED and data[0] == 0 and data[1] in (0, 1):  # plain CDR
        return f"'{message.topic}' with the stamp {serialized_stamp(data)} ns"
    return f"'{message.topic}', recorded at {message.recorded} ns,"
