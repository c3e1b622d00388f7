"""Options as ROS parameters, declared with description, type and range."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from rcl_interfaces.msg import (
    FloatingPointRange,
    IntegerRange,
    ParameterDescriptor,
    ParameterType,
)
from rclpy.exceptions import ParameterException
from rclpy.node import Node

from sam_pt_ros.configuration import ROS_PARAMETERS, BackendOptions, Configuration
from sam_pt_ros.errors import UserError, one_line
from sam_pt_ros.options import OptionSpec, did_you_mean, specs
from sam_pt_ros.options.node import NodeOptions
from sam_pt_ros.pipeline import SamPtOptions
from sam_pt_ros.ros.rclpy_internals import parameter_overrides
from sam_pt_ros.segmenters import segmenters
from sam_pt_ros.trackers import trackers

_TYPES = {
    bool: ParameterType.PARAMETER_BOOL,
    int: ParameterType.PARAMETER_INTEGER,
    float: ParameterType.PARAMETER_DOUBLE,
    str: ParameterType.PARAMETER_STRING,
    tuple: ParameterType.PARAMETER_INTEGER_ARRAY,
}
_POLICIES = {  # of a topic's QoS, and what they may be
    "history": ("keep_last", "keep_all", "system_default"),
    "reliability": ("reliable", "best_effort", "best_available", "system_default"),
    "durability": ("volatile", "transient_local", "best_available", "system_default"),
    "depth": (),
}
_MOST_DEPTH = 100_000
_INT64_MAX = 2**63 - 1
_FLOAT_MAX = 1.7976931348623157e308


def descriptor(spec: OptionSpec) -> ParameterDescriptor:
    """The descriptor of an option's parameter."""
    made = ParameterDescriptor(
        name=spec.name,
        type=_TYPES[spec.type],
        description=spec.description,
        additional_constraints=spec.range_text() if spec.type in (str, tuple) else "",
    )
    # ROS has no ranges for arrays.
    if spec.type is not tuple and (spec.minimum is not None or spec.maximum is not None):
        if spec.type is int:
            made.integer_range = [
                IntegerRange(
                    from_value=-_INT64_MAX if spec.minimum is None else int(spec.minimum),
                    to_value=_INT64_MAX if spec.maximum is None else int(spec.maximum),
                    step=0,
                )
            ]
        else:
            made.floating_point_range = [
                FloatingPointRange(
                    from_value=-_FLOAT_MAX if spec.minimum is None else float(spec.minimum),
                    to_value=_FLOAT_MAX if spec.maximum is None else float(spec.maximum),
                    step=0.0,
                )
            ]
    return made


def _check_qos(name: str, value: Any) -> None:
    """UserError if an override of a topic's QoS is invalid; rclpy would not name it."""
    policy = name.rpartition(".")[2]
    if policy not in _POLICIES:
        raise UserError(f"unknown parameter '{name}'{did_you_mean(policy, _POLICIES)}")
    if policy == "depth":
        usable = type(value) is int and 1 <= value <= _MOST_DEPTH
        allowed = f"a whole number from 1 to {_MOST_DEPTH}"
    else:
        usable = isinstance(value, str) and value.lower() in _POLICIES[policy]
        allowed = "one of " + ", ".join(_POLICIES[policy])
    if not usable:
        raise UserError(f"parameter '{name}' must be {allowed}, got {value!r}")


class Parameters:
    """The node's parameters.

    Those of the backends are named ``<backend>.<option>``, and are declared once it is known
    which backends are used. What the node is started with is checked at once (UserError): an
    override cannot be corrected later.
    """

    _general = (BackendOptions, SamPtOptions, NodeOptions)

    def __init__(self, node: Node) -> None:
        self._node = node
        self.specs: dict[str, OptionSpec] = {}
        for options in self._general:
            self._declare("", specs(options))
        self.read()

    def read(self) -> Configuration:
        """The configuration by the parameters' current values.

        Raises:
            UserError: an unknown parameter or backend, a wrong type, a value out of range.
        """
        general = self._values("")
        values: dict[str, Any] = dict(general)
        for registry, name in (
            (trackers, general["tracker"]),
            (segmenters, general["segmenter"]),
        ):
            implementation: Any = registry.load(name)
            self._declare(f"{name}.", specs(implementation.Options))
            values[name] = self._values(f"{name}.")
        self._refuse_unknown()
        return Configuration.from_mapping(values, "parameters")

    def _declare(self, prefix: str, declared: Iterable[OptionSpec]) -> None:
        overrides = parameter_overrides(self._node)
        for spec in declared:
            name = prefix + spec.name
            if name in self.specs:
                continue
            given: Any = overrides[name].value if name in overrides else None
            # ROS would refuse a whole number as the override of a floating-point parameter.
            whole = spec.type is float and type(given) is int
            default = float(given) if whole else spec.default
            try:
                self._node.declare_parameter(
                    name, default, descriptor(spec), ignore_override=whole
                )
            except (ParameterException, ValueError) as error:
                reason = one_line(error)
                allowed = spec.range_text()
                raise UserError(
                    f"parameter '{name}' ({spec.type_text}"
                    f"{', ' + allowed if allowed else ''}): {reason}"
                ) from error
            self.specs[name] = spec

    @property
    def unused_qos(self) -> list[str]:
        """Overrides of QoS that no topic uses; valid while the node is active."""
        overrides = parameter_overrides(self._node)
        given = (name for name in overrides if name.startswith("qos_overrides."))
        return [name for name in given if not self._node.has_parameter(name)]

    def _values(self, prefix: str) -> dict[str, Any]:
        return {
            spec.name: self._node.get_parameter(name).value
            for name, spec in self.specs.items()
            if name == prefix + spec.name
        }

    def _refuse_unknown(self) -> None:
        """UserError if the node was started with a parameter that is never declared."""
        backends = (*trackers.names(), *segmenters.names())
        for name, given in parameter_overrides(self._node).items():
            group = name.partition(".")[0]
            if group == "qos_overrides":
                _check_qos(name, given.value)
            in_use = any(known.startswith(group + ".") for known in self.specs)
            foreign = group in ROS_PARAMETERS or (group in backends and not in_use)
            if name not in self.specs and not foreign:
                raise UserError(f"unknown parameter '{name}'{did_you_mean(name, self.specs)}")
