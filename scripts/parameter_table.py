"""Write docs/parameters.md from the declarations of the parameters."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from sam_pt_ros.configuration import BackendOptions
from sam_pt_ros.options import OptionSpec, specs
from sam_pt_ros.options.node import NodeOptions
from sam_pt_ros.pipeline import SamPtOptions
from sam_pt_ros.segmenters import segmenters
from sam_pt_ros.trackers import trackers

PAGE = Path(__file__).resolve().parents[1] / "docs" / "parameters.md"

HEAD = """\
<!-- Written by scripts/parameter_table.py; do not edit. -->

# Parameters

A configuration is a ROS parameter file, like those in `config/`. `params:=FILE` overrides single
values:

```yaml
/**:
  ros__parameters:
    tracker: cotracker
    segmenter: mobile_sam
    reinitialization_horizon: 24
    mobile_sam:
      device: cuda
      precision: float16
```

- The node reads parameters when it is configured, except those that may change at run time.
- Options of a backend are nested under its name, such as `mobile_sam:`. All models of its family
  have the same options under their own names, such as `sam_vit_h:`.
- Options of backends that are not selected are ignored. Unknown names are refused.
"""


def groups() -> Iterator[tuple[str, str, Iterator[OptionSpec]]]:
    """The title of each table, the prefix of its names, and its parameters."""
    yield "Node", "", specs(NodeOptions)
    yield "Backends", "", specs(BackendOptions)
    yield "Pipeline", "", specs(SamPtOptions)
    for title, registry, name in (
        ("Tracker `lucas_kanade`", trackers, "lucas_kanade"),
        ("Tracker `cotracker`", trackers, "cotracker"),
        ("Tracker `tapir`", trackers, "tapir"),
        ("Tracker `tapnet`", trackers, "tapnet"),
        ("Tracker `pips`", trackers, "pips"),
        ("Tracker `pips_plus_plus`", trackers, "pips_plus_plus"),
        ("Tracker `raft`", trackers, "raft"),
        ("Tracker `matching`", trackers, "matching"),
        ("Segmenter `classical`", segmenters, "classical"),
        ("Segmenter `mobile_sam` and its family", segmenters, "mobile_sam"),
    ):
        yield title, f"{name}.", specs(registry.load(name).Options)


def table(prefix: str, parameters: Iterator[OptionSpec]) -> str:
    """One table in Markdown."""
    lines = ["| parameter | type | default | allowed | meaning |", "|" + " --- |" * 5]
    for spec in parameters:
        default = str(spec.default).lower() if spec.type is bool else spec.default
        if spec.type is tuple:
            default = list(spec.default)
        elif default == "":
            default = '""'
        allowed = spec.range_text().removeprefix("one of ")
        meaning = spec.description + " May change at run time." * spec.runtime
        name = f"`{prefix}{spec.name}`"
        lines.append(f"| {name} | {spec.type_text} | `{default}` | {allowed} | {meaning} |")
    return "\n".join(lines)


def page() -> str:
    """The page in Markdown."""
    tables = (f"\n## {title}\n\n{table(prefix, found)}\n" for title, prefix, found in groups())
    return HEAD + "".join(tables)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
