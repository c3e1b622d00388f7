"""What a sweep varies: options, their values, and all combinations of values."""

from __future__ import annotations

import hashlib
import itertools
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import yaml

from sam_pt_ros.configuration import BackendOptions
from sam_pt_ros.errors import UserError
from sam_pt_ros.options import OptionSpec, did_you_mean, specs
from sam_pt_ros.options.node import NodeOptions
from sam_pt_ros.pipeline.options import SamPtOptions
from sam_pt_ros.segmenters import segmenters
from sam_pt_ros.trackers import trackers

LONGEST_NAME = 120
"""Characters of a combination's name, at most."""

MAX_COMBINATIONS = 10000


@dataclass(frozen=True)
class Axis:
    """An option and its values.

    Attributes:
        name: of the option; options of a tracker or a segmenter as ``backend.option``.
        values: at least one, each once, of the option's type.
    """

    name: str
    values: tuple[Any, ...]

    def __post_init__(self) -> None:
        if not self.values:
            raise UserError(f"'{self.name}' has no values; write {self.name}=VALUE,VALUE")
        texts = [value_text(value) for value in self.values]
        for text in texts:
            if texts.count(text) > 1:
                raise UserError(f"'{self.name}' has the value {text} twice")

    @classmethod
    def parse(cls, text: str) -> Axis:
        """Parse ``NAME=VALUE,VALUE,...``, whose values are YAML.

        Raises:
            UserError: the text has another form, the option is unknown, or a value is not valid.
        """
        name, equals, values = text.partition("=")
        name = name.strip()
        if not equals or not name:
            raise UserError(f"'{text}' does not say what to vary; write NAME=VALUE,VALUE")
        spec = _spec(name)
        try:
            found = yaml.safe_load(f"[{values}]")
        except (yaml.YAMLError, ValueError) as error:
            raise UserError(
                f"the values of '{text}' are not valid YAML; put them in quotes"
            ) from error
        return cls(name, tuple(spec.check(value, f"'{text}'") for value in found))


@dataclass(frozen=True)
class Combination:
    """A value for each varied option.

    Attributes:
        values: pairs of an option's name and a value, in the order of the axes.
    """

    values: tuple[tuple[str, Any], ...]

    @property
    def name(self) -> str:
        """A folder name, such as ``positive_points=8__reinitialization=A``.

        If characters had to be replaced, or the name was too long, a hash keeps it unique.
        """
        plain = "__".join(f"{name}={value_text(value)}" for name, value in self.values)
        safe = re.sub(r"[^A-Za-z0-9._=+-]", "-", plain)
        if safe == plain and len(plain) <= LONGEST_NAME:
            return plain
        digest = hashlib.sha256(plain.encode()).hexdigest()[:10]
        return f"{safe[: LONGEST_NAME - 11]}-{digest}"


@dataclass(frozen=True)
class Grid:
    """All combinations of the values of some axes.

    Attributes:
        axes: at least one, each option once.
    """

    axes: tuple[Axis, ...]

    def __post_init__(self) -> None:
        names = [axis.name for axis in self.axes]
        if not names:
            raise UserError("a sweep needs an option to vary; write NAME=VALUE,VALUE")
        for name in names:
            if names.count(name) > 1:
                raise UserError(f"'{name}' is given twice; list all of its values in one --set")
        if math.prod(len(axis.values) for axis in self.axes) > MAX_COMBINATIONS:
            raise UserError(
                f"the sweep has more than {MAX_COMBINATIONS} combinations; give fewer values"
            )

    @classmethod
    def parse(cls, texts: Sequence[str]) -> Grid:
        """Parse one text per axis, such as ``positive_points=8,16``; see :meth:`Axis.parse`."""
        return cls(tuple(Axis.parse(text) for text in texts))

    @property
    def names(self) -> list[str]:
        """Names of the varied options, in order."""
        return [axis.name for axis in self.axes]

    @property
    def combinations(self) -> list[Combination]:
        """All combinations; the last axis varies fastest."""
        products = itertools.product(*(axis.values for axis in self.axes))
        return [Combination(tuple(zip(self.names, values))) for values in products]


def _spec(name: str) -> OptionSpec:
    """The specification of an option; UserError if there is no option of that name."""
    head, dot, rest = name.partition(".")
    general = {
        spec.name: spec
        for options in (BackendOptions, SamPtOptions, NodeOptions)
        for spec in specs(options)
    }
    if name == "seed":
        raise UserError("'seed' cannot be varied; give the number of seeds with --seeds")
    if not dot:
        if name not in general:
            raise UserError(f"unknown option '{name}'{did_you_mean(name, general)}")
        return general[name]
    backends: dict[str, Any] = dict.fromkeys(trackers.names(), trackers)
    backends |= dict.fromkeys(segmenters.names(), segmenters)
    if head not in backends:
        raise UserError(f"unknown tracker or segmenter '{head}'{did_you_mean(head, backends)}")
    known = {spec.name: spec for spec in specs(backends[head].load(head).Options)}
    if rest not in known:
        raise UserError(f"'{head}' has no option '{rest}'{did_you_mean(rest, known)}")
    return known[rest]


def value_text(value: Any) -> str:
    """A value as in YAML, without quotes."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (list, tuple)):
        return ",".join(value_text(each) for each in value)
    return str(value)
