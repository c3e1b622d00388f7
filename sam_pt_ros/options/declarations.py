"""Options: frozen dataclasses whose fields declare their meaning and their allowed values.

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
    """The declaration of one option.

    Attributes:
        name: name of the dataclass field.
        type: bool, int, float, str, or tuple for a fixed number of integers.
        default: value if none is given.
        description: meaning, for people.
        minimum: smallest allowed value, inclusive; None: no limit.
        maximum: largest allowed value, inclusive; None: no limit.
        choices: allowed values; None: any.
        length: number of integers if ``type`` is tuple, else None.
        runtime: whether it may change while the node runs.
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
        """The type as shown to people."""
        return self.type.__name__ if self.length is None else f"{self.length} int"

    def check(self, value: Any, where: str) -> Any:
        """Return ``value`` as the option's type.

        Args:
            value: the value to check.
            where: origin of the value, for error messages.

        Raises:
            UserError: the type is wrong, or the value is not allowed.
        """
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
            # A list, a tuple, or the array type of a ROS parameter.
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
        """The allowed values as text; empty if there is no limit."""
        if self.choices is not None:
            return "one of " + ", ".join(self.choices)
        low = "" if self.minimum is None else f"at least {self.minimum:.10g}"
        high = "" if self.maximum is None else f"at most {self.maximum:.10g}"
        return " and ".join(part for part in (low, high) if part)


@dataclass(frozen=True)
class NoOptions:
    """Options of an implementation that has none."""


def option(
    default: Any,
    description: str,
    *,
    minimum: float | None = None,
    maximum: float | None = None,
    choices: tuple[str, ...] | None = None,
    runtime: bool = False,
) -> Any:
    """Declare a dataclass field as an option. See :class:`OptionSpec` for the arguments."""
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
    """Yield the options that a dataclass declares, in order."""
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
    """Validate and convert all options of an instance. Call it from ``__post_init__``."""
    for spec in specs(type(instance)):
        value = spec.check(getattr(instance, spec.name), type(instance).__name__)
        object.__setattr__(instance, spec.name, value)


def build_options(options: type[_Options], values: Mapping[str, Any], where: str) -> _Options:
    """Build an instance of ``options`` from ``values``.

    Args:
        options: a frozen dataclass declared with :func:`option`.
        values: values by option name; missing ones keep their defaults.
        where: origin of the values, for error messages.

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
    """The end of an error message about an unknown name: the closest match or all names."""
    names = sorted(known)
    close = difflib.get_close_matches(name, names, n=1)
    if close:
        return f"; did you mean '{close[0]}'?"
    return f"; available: {', '.join(names)}" if names else "; none is available"
