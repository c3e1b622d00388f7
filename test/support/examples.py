"""How many examples hypothesis tries: few in a fast run, all of them in `make test-all`."""

from __future__ import annotations

from typing import Any

from hypothesis import settings

FEW = 20
"""Examples of a test in a fast run; its own number, or hypothesis's 100, is for all others."""


def register_profiles() -> None:
    """Offer the profiles ``few``, which is loaded, and ``all`` (``--hypothesis-profile=all``).

    No example has a deadline: a busy machine misses any.
    """
    settings.register_profile("few", deadline=None, max_examples=FEW)
    settings.register_profile("all", deadline=None)
    settings.load_profile("few")


def examples(count: int, **more: Any) -> settings:
    """The settings of a test that tries ``count`` examples in the profile ``all``."""
    in_all = settings.get_current_profile_name() == "all"
    return settings(max_examples=count if in_all else min(count, FEW), **more)
