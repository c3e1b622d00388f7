"""Nodes under test: one that a file's tests share, and others for those that need their own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from support.rig import Rig


@contextmanager
def rigs(folders: pytest.TempPathFactory) -> Iterator[Callable[..., Rig]]:
    """Makes rigs, each in a domain of its own, with a node of its own; ends them."""
    made: list[Rig] = []

    def make(*parameters: str, **arguments: Any) -> Rig:
        made.append(Rig(folders.mktemp("rig"), *parameters, **arguments))
        return made[-1]

    yield make
    for rig in made:
        rig.close()


@pytest.fixture
def make_rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Rig]]:
    """Makes rigs that end with the test."""
    with rigs(tmp_path_factory) as make:
        yield make


@pytest.fixture(scope="module")
def make_shared_rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Rig]]:
    """Makes rigs that end with the last test of the file."""
    with rigs(tmp_path_factory) as make:
        yield make


@pytest.fixture(scope="module")
def shared_rig(make_shared_rig: Callable[..., Rig]) -> Rig:
    return make_shared_rig("mode:=every_frame")


@pytest.fixture
def rig(shared_rig: Rig) -> Iterator[Rig]:
    """A node in mode every_frame, as good as new; it must survive the test."""
    shared_rig.order = {}
    shared_rig.reset()
    yield shared_rig
    assert shared_rig.node.alive, shared_rig.node.log.read_text()
