"""Print the README's table of parameters, from their declarations."""

from __future__ import annotations

from collections.abc import Iterator

from sam_pt_ros.configuration import BackendOptions
from sam_pt_ros.options import OptionSpec, specs
from sam_pt_ros.options.node import NodeOptions
from sam_pt_ros.pipeline import SamPtOptions
from sam_pt_ros.segmenters import segmenters
from sam_pt_ros.trackers import trackers


def declared() -> Iterator[tuple[str, OptionSpec]]:
    """Every parameter with its full name, in the order of the table."""
    for options in (NodeOptions, BackendOptions, SamPtOptions):
        yield from ((spec.name, spec) for spec in specs(options))
    for registry, name in (
        (trackers, "lucas_kanade"),
        (trackers, "cotracker"),
        (segmenters, "classical"),
        (segmenters, "mobile_sam"),
    ):
        for spec in specs(registry.load(name).Options):
            yield f"{name}.{spec.name}", spec


def table() -> str:
    """The table in Markdown."""
    lines = ["| parameter | type | default | allowed | meaning |", "|" + " --- |" * 5]
    for name, spec in declared():
        default = str(spec.default).lower() if spec.type is bool else spec.default
        if spec.type is tuple:
            default = list(spec.default)
        elif default == "":
            default = '""'
        allowed = spec.range_text().removeprefix("one of ")
        meaning = spec.description + " May change at run time." * spec.runtime
        lines.append(f"| `{name}` | {spec.type_text} | `{default}` | {allowed} | {meaning} |")
    return "\n".join(lines)


if __name__ == "__main__":
    print(table())
