"""Nodes under test: one that a file's tests share, and others for those that need their own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import rclpy
from rclpy.context import Context
from rclpy.node import Node

from support.rig import Rig, free_domain, give_back


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
def context() -> Iterator[Context]:
    """For nodes in this process, in a domain of their own."""
    domain, made = free_domain(), Context()
    rclpy.init(context=made, domain_id=domain)
    yield made
    rclpy.shutdown(context=made)
    give_back(domain)


@pytest.fixture
def make_other(context: Context) -> Iterator[Callable[[str], Node]]:
    """Makes other nodes in that domain. Each is on its own, as if it were another process."""
    made: list[Node] = []

    def make(name: str) -> Node:
        other = Context()
        rclpy.init(context=other, domain_id=context.get_domain_id())
        made.append(Node(name, context=other))
        return made[-1]

    yield make
    for node in made:
        node.destroy_node()
        rclpy.shutdown(context=node.context)


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
