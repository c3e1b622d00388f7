"""The configuration that suits the machine best, of those that come with the package."""

from __future__ import annotations

from importlib.util import find_spec

from sam_pt_ros.segmenters.sam.models import MODELS
from sam_pt_ros.weights.checkpoints import CHECKPOINTS, checkpoint_directory

WITHOUT_MODELS = "classical"
WITH_MODELS = {
    "cotracker_mobile_sam": ("cotracker3_online", "mobile_sam"),
    "tapir_mobile_sam": ("bootstapir_online", "mobile_sam"),
}
"""Configurations with the checkpoints that they need, the preferred one first."""

_MOBILE_SAM = MODELS["mobile_sam"]
_PACKAGES = (_MOBILE_SAM.module, *_MOBILE_SAM.imports)


def recommended_configuration() -> str:
    """The name of a file in ``config/``, without its extension.

    The first whose checkpoints and packages are installed, else ``classical``. Checkpoints are not
    verified here, but when they are loaded.
    """
    if any(find_spec(name) is None for name in _PACKAGES):
        return WITHOUT_MODELS
    folder = checkpoint_directory()
    for configuration, names in WITH_MODELS.items():
        if all((folder / CHECKPOINTS[name].file).is_file() for name in names):
            return configuration
    return WITHOUT_MODELS
