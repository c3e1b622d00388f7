"""Implementations by name: built-in ones by module path, others by entry point."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from importlib.metadata import entry_points
from typing import Any, Generic, TypeVar

from sam_pt_ros.errors import UserError
from sam_pt_ros.options import build_options, did_you_mean

T = TypeVar("T")


class Registry(Generic[T]):
    """Classes by name, imported only on demand.

    Args:
        kind: what is registered ("tracker"), for error messages.
        base: base class of every implementation.
        group: entry point group in which other packages register theirs.
        builtin: ``"module:Class"`` of the built-in implementations, by name.
    """

    def __init__(self, kind: str, base: type[T], group: str, builtin: Mapping[str, str]) -> None:
        self.kind = kind
        self.group = group
        self._base = base
        self._builtin = dict(builtin)

    def names(self) -> list[str]:
        """All registered names, sorted."""
        return sorted({*self._builtin, *(point.name for point in entry_points(group=self.group))})

    def load(self, name: str) -> type[T]:
        """The class registered as ``name``.

        Raises:
            UserError: no such name, or the class cannot be imported.
        """
        target = self._builtin.get(name)
        try:
            if target is not None:
                module, _, attribute = target.partition(":")
                loaded = getattr(importlib.import_module(module), attribute)
            else:
                points = [p for p in entry_points(group=self.group) if p.name == name]
                if not points:
                    raise UserError(
                        f"unknown {self.kind} '{name}'{did_you_mean(name, self.names())}"
                    )
                loaded = points[0].load()
        except UserError:
            raise
        except Exception as error:  # a third-party module may raise anything on import
            raise UserError(f"the {self.kind} '{name}' cannot be imported: {error!r}") from error
        if not (isinstance(loaded, type) and issubclass(loaded, self._base)):
            raise UserError(
                f"the {self.kind} '{name}' is {loaded!r}, which is not a subclass of "
                f"{self._base.__name__}"
            )
        return loaded

    def create(self, name: str, options: Mapping[str, Any]) -> T:
        """Make an instance of ``name``; its class attribute ``Options`` validates the options.

        Raises:
            UserError: no such name, the class cannot be imported, or an option is wrong.
        """
        implementation: Any = self.load(name)
        return self.make(
            name, build_options(implementation.Options, options, f"{self.kind} '{name}'")
        )

    def make(self, name: str, options: Any) -> T:
        """Make an instance of ``name`` with an object of its class's ``Options``.

        A class with a method ``create`` makes it by that.

        Raises:
            UserError: no such name, the class cannot be imported, or it made something else.
        """
        implementation: Any = self.load(name)
        created = getattr(implementation, "create", implementation)(options)
        if not isinstance(created, self._base):
            raise UserError(
                f"the {self.kind} '{name}' made {created!r}, which is not a {self._base.__name__}"
            )
        return created
