"""Options: one declaration serves the library, YAML files and the node's parameters."""

from sam_pt_ros.options.declarations import (
    NoOptions,
    OptionSpec,
    build_options,
    check_options,
    did_you_mean,
    option,
    specs,
)

__all__ = [
    "NoOptions",
    "OptionSpec",
    "build_options",
    "check_options",
    "did_you_mean",
    "option",
    "specs",
]
