"""Options: declared once, for the library, for YAML files and as parameters of the node."""

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
