"""Packages of backends, installed as pip does: a module, and a dist-info with entry points."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path


def install(
    folder: Path,
    module: str,
    source: str,
    *,
    trackers: Mapping[str, str] | None = None,
    segmenters: Mapping[str, str] | None = None,
) -> None:
    """Put a package into a folder that is to be on the path.

    Args:
        folder: gets the module and its metadata.
        module: the name of both.
        source: the module's.
        trackers: what it offers, by name: ``module:attribute``.
        segmenters: the same.
    """
    (folder / f"{module}.py").write_text(source)
    info = folder / f"{module}-1.0.dist-info"
    info.mkdir()
    name = module.replace("_", "-")
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1\n")
    lines = []
    for group, offered in (("trackers", trackers), ("segmenters", segmenters)):
        if offered:
            lines.append(f"[sam_pt_ros.{group}]")
            lines += [f"{each} = {target}" for each, target in offered.items()]
    (info / "entry_points.txt").write_text("\n".join(lines) + "\n")
