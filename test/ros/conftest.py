"""Nodes under test: one that the tests share, and others for those that need their own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from support.rig import Rig


@pytest.fixture(scope="session")
def make_rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Rig]]:
    """Makes rigs, each in a domain of its own, with a node of its own."""
    rigs: list[Rig] = []

    def make(*parameters: str, **arguments: Any) -> Rig:
        rigs.append(Rig(tmp_path_factory.mktemp("rig"), *parameters, **arguments))
        return rigs[-1]

    yield make
    for rig in rigs:
        rig.close()


@pytest.fixture(scope="session")
def shared_rig(make_rig: Callable[..., Rig]) -> Rig:
    return make_rig("mode:=every_frame")


@pytest.fixture
def rig(shared_rig: Rig) -> Iterator[Rig]:
    """A node in mode every_frame, as good as new; it must survive the test."""
    shared_rig.order = {}
    shared_rig.reset()
    yield shared_rig
    assert shared_rig.node.alive, shared_rig.node.log.read_text()
