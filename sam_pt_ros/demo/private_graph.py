"""A private ROS graph for the demo, separate from the user's and set up for large messages."""

from __future__ import annotations

import os
import random
import re
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sam_pt_ros.paths import share_folder

_MEBIBYTE = 1 << 20


def choose_domain() -> int:
    """A ROS domain that is not used on this machine, so that the user's graph is not affected."""
    # 0 is the default; up to 101 the ports lie below Linux's ephemeral ones.
    taken = os.environ.get("ROS_DOMAIN_ID", "0")
    domains = [domain for domain in range(1, 102) if str(domain) != taken]
    random.SystemRandom().shuffle(domains)
    for domain in domains:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            try:
                # The port of a domain's first participant (RTPS 2.5, 9.6.2.3).
                probe.bind(("", 7400 + 250 * domain + 10))
            except OSError:
                continue
            return domain
    return domains[0]


@contextmanager
def private_environment(domain: int, image_bytes: int) -> Iterator[dict[str, str]]:
    """The environment of processes that discover only each other.

    Args:
        domain: their ROS domain.
        image_bytes: size of their largest message.
    """
    largest = max(image_bytes + 4096, _MEBIBYTE)
    with tempfile.TemporaryDirectory(prefix="sam_pt_demo_") as folder:
        profiles = Path(folder) / "fastdds.xml"
        text = (share_folder() / "config" / "fastdds_large_images.xml").read_text(encoding="utf-8")
        for name, size in (("segment_size", 12 * largest), ("maxMessageSize", largest)):
            text = re.sub(rf"(?<=<{name}>)\d+", str(size), text)
        profiles.write_text(text, encoding="utf-8")
        environment = dict(os.environ)
        environment.pop("ROS_LOCALHOST_ONLY", None)  # it would override the range
        environment["ROS_DOMAIN_ID"] = str(domain)
        environment["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"
        environment["FASTDDS_DEFAULT_PROFILES_FILE"] = str(profiles)
        yield environment


@contextmanager
def exchanged(environment: dict[str, str]) -> Iterator[None]:
    """Replace the environment for a block: ROS reads it when a context is initialized."""
    before = dict(os.environ)
    _exchange(environment)
    try:
        yield
    finally:
        _exchange(before)


def _exchange(environment: dict[str, str]) -> None:
    for name in os.environ.keys() - environment.keys():
        del os.environ[name]
    os.environ.update(environment)
