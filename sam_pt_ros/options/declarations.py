"""Options: frozen dataclasses whose fields say what they mean and what they allow.

One declaration serves the library (typed values), the YAML files (strict reading) and the
node (ROS parameters with description, type and range).
"""

from __future__ import annotations

import difflib
import math
import os
import typing
from collections.abc import Iterator, Mapping
from dataclasses import MISSING, Field, dataclass, field, fields, replace
from typing import Any, TypeVar

from sam_pt_ros.errors import UserError

_Options = TypeVar("_Options")


@dataclass(frozen=True)
class OptionSpec:
    """What is known about one option; ``minimum`` and ``maximum`` are inclusive.

    ``length`` is that of a fixed number of integers (then ``type`` is tuple), else None.
    ``runtime`` says that it may change while the node runs.
    """

    name: str
    type: type
    default: Any
    description: str
    minimum: float | None = None
    maximum: float | None = None
    choices: tuple[str, ...] | None = None
    length: int | None = None
    runtime: bool = False

    @property
    def type_text(self) -> str:
        """The type in words."""
        return self.type.__name__ if self.length is None else f"{self.length} int"

    def check(self, value: Any, where: str) -> Any:
        """``value`` as the option's type; UserError says what is wrong with it."""
        if self.length is not None:
            return self._check_integers(value, where)
        if self.type is float and isinstance(value, int) and not isinstance(value, bool):
            value = float(value)
        if self.type is str and isinstance(value, os.PathLike):
            value = os.fspath(value)
        is_bool = isinstance(value, bool)
        if is_bool != (self.type is bool) or not isinstance(value, self.type):
            raise UserError(
                f"{where}: '{self.name}' must be of type {self.type.__name__}, got {value!r}"
            )
        if isinstance(value, float) and not math.isfinite(value):
            raise UserError(f"{where}: '{self.name}' must be finite, got {value!r}")
        low = -math.inf if self.minimum is None else self.minimum
        high = math.inf if self.maximum is None else self.maximum
        if isinstance(value, (int, float)) and not low <= value <= high:
            raise UserError(f"{where}: '{self.name}' must be {self.range_text()}, got {value!r}")
        if self.choices is not None and value not in self.choices:
            raise UserError(
                f"{where}: '{self.name}' must be one of {', '.join(self.choices)}, got {value!r}"
            )
        return value

    def _check_integers(self, value: Any, where: str) -> tuple[int, ...]:
        try:
            # A list, a tuple, or an array of ROS.
            found = () if isinstance(value, (str, bytes)) else tuple(value)
        except TypeError:
            found = ()
        if len(found) != self.length:
            raise UserError(
                f"{where}: '{self.name}' must be a list of {self.length} whole numbers, got "
                f"{value!r}"
            )
        single = replace(self, type=int, length=None)
        return tuple(single.check(each, where) for each in found)

    def range_text(self) -> str:
        """The allowed values in words; empty if there is no limit."""
        if self.choices is not None:
            return "one of " + ", ".join(self.choices)
        low = "" if self.minimum is None else f"at least {self.minimum:.10g}"
        high = "" if self.maximum is None else f"at most {self.maximum:.10g}"
        return " and ".join(part for part in (low, high) if part)


@dataclass(frozen=True)
class NoOptions:
    """The options of an implementation that has none."""


def option(
    default: Any,
    description: str,
    *,
    minimum: float | None = None,
    maximum: float | None = None,
    choices: tuple[str, ...] | None = None,
    runtime: bool = False,
) -> Any:
    """A dataclass field that is an option."""
    return field(
        default=default,
        metadata={
            "description": description,
            "minimum": minimum,
            "maximum": maximum,
            "choices": choices,
            "runtime": runtime,
        },
    )


def specs(options: type) -> Iterator[OptionSpec]:
    """The options that a dataclass declares, in order."""
    types = typing.get_type_hints(options)
    for entry in fields(options):
        if "description" in entry.metadata:
            hint, length = types[entry.name], None
            if typing.get_origin(hint) is tuple:
                hint, length = tuple, len(typing.get_args(hint))
            yield OptionSpec(entry.name, hint, _default(entry), length=length, **entry.metadata)


def _default(entry: Field[Any]) -> Any:
    return None if entry.default is MISSING else entry.default


def check_options(instance: Any) -> None:
    """Validate a dataclass of options; to be called from its ``__post_init__``."""
    for spec in specs(type(instance)):
        value = spec.check(getattr(instance, spec.name), type(instance).__name__)
        object.__setattr__(instance, spec.name, value)


def build_options(options: type[_Options], values: Mapping[str, Any], where: str) -> _Options:
    """Make ``options`` of ``values``.

    Args:
        options: a frozen dataclass declared with :func:`option`.
        values: by option name; what is missing keeps its default.
        where: where the values come from, for messages.

    Raises:
        UserError: an unknown name, a wrong type, or a value out of range.
    """
    known = {spec.name: spec for spec in specs(options)}
    checked = {}
    for name, value in values.items():
        if name not in known:
            raise UserError(f"{where}: unknown option '{name}'{did_you_mean(name, known)}")
        checked[name] = known[name].check(value, where)
    return options(**checked)


def did_you_mean(name: str, known: typing.Iterable[str]) -> str:
    """A closing remark for messages about an unknown name."""
    names = sorted(known)
    close = difflib.get_close_matches(name, names, n=1)
    if close:
        return f"; did you mean '{close[0]}'?"
    return f"; available: {', '.join(names)}" if names else "; none is available"
