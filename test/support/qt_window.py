"""Reads what RViz stores as ``QMainWindow State``: Qt's QMainWindow::saveState(), in hex."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field

_VERSION, _DOCKS, _SEQUENCE, _TABS, _WIDGET, _TOOLBARS = 0xFF, 0xFD, 0xFC, 0xFA, 0xFB, 0xFC
_SIDES = ("left", "right", "top", "bottom")


@dataclass(frozen=True)
class Panel:
    """A docked widget.

    Attributes:
        side: of the window.
        names: of the panels at this place, in the order of their tabs.
        current: the panel that is seen.
        size: (width, height) of the place, pixels.
        shown: whether all of them are shown, and none floats.
    """

    side: str
    names: tuple[str, ...]
    current: str
    size: tuple[int, int]
    shown: bool


@dataclass
class WindowState:
    """What the window is made of; sizes are (width, height) in pixels."""

    panels: list[Panel] = field(default_factory=list)
    docks: dict[str, tuple[int, int]] = field(default_factory=dict)
    central: tuple[int, int] = (0, 0)
    toolbars: list[str] = field(default_factory=list)


class _Reader:
    def __init__(self, data: bytes) -> None:
        self._data, self._at = data, 0

    def byte(self) -> int:
        self._at += 1
        return self._data[self._at - 1]

    def ints(self, count: int) -> tuple[int, ...]:
        self._at += 4 * count
        return struct.unpack_from(f">{count}i", self._data, self._at - 4 * count)

    def text(self) -> str:
        (length,) = self.ints(1)
        self._at += length
        return self._data[self._at - length : self._at].decode("utf-16-be")

    def expect(self, marker: int) -> None:
        assert self.byte() == marker, f"no marker {marker:#x} before byte {self._at}"

    @property
    def ended(self) -> bool:
        return self._at == len(self._data)


def read_window_state(text: str) -> WindowState:
    """Decode a state; an AssertionError says where it is not one of Qt 5's."""
    reader, state = _Reader(bytes.fromhex(text)), WindowState()
    assert reader.ints(2) == (_VERSION, 0)
    reader.expect(_DOCKS)
    for _ in range(reader.ints(1)[0]):
        side, width, height = reader.ints(3)
        state.docks[_SIDES[side]] = width, height
        reader.expect(_SEQUENCE)
        vertical = reader.byte() == 2
        assert vertical == (side < 2)
        for _ in range(reader.ints(1)[0]):
            state.panels.append(_place(reader, _SIDES[side], (width, height)))
    state.central = reader.ints(2)  # type: ignore[assignment]
    reader.ints(4)  # which dock has which corner
    reader.expect(_TOOLBARS)
    for _ in range(reader.ints(1)[0]):
        reader.ints(1)
        for _ in range(reader.ints(1)[0]):
            state.toolbars.append(reader.text())
            reader.byte()
            reader.ints(4)
    assert reader.ended
    return state


def _place(reader: _Reader, side: str, dock: tuple[int, int]) -> Panel:
    """One of the places of a dock, with one panel or with several as tabs."""
    marker = reader.byte()
    if marker == _WIDGET:
        name, shown, extent = _widget(reader)
        return Panel(side, (name,), name, _size(dock, side, extent), shown)
    assert marker == _SEQUENCE
    _, extent, _, _ = reader.ints(4)
    reader.expect(_TABS)
    (current,) = reader.ints(1)
    reader.byte()
    widgets = []
    for _ in range(reader.ints(1)[0]):
        reader.expect(_WIDGET)
        widgets.append(_widget(reader))
    names = tuple(name for name, _, _ in widgets)
    shown = all(shown for _, shown, _ in widgets)
    return Panel(side, names, names[current], _size(dock, side, extent), shown)


def _widget(reader: _Reader) -> tuple[str, bool, int]:
    """Its name, whether it is visible and docked, and its extent along the dock."""
    name, flags = reader.text(), reader.byte()
    _, extent, _, _ = reader.ints(4)
    return name, flags == 1, extent


def _size(dock: tuple[int, int], side: str, extent: int) -> tuple[int, int]:
    return (dock[0], extent) if side in ("left", "right") else (extent, dock[1])
