"""The configuration that suits the machine best, of those that come with the package."""

from __future__ import annotations

from importlib.util import find_spec

from sam_pt_ros.segmenters.sam.models import MODELS
from sam_pt_ros.weights.checkpoints import CHECKPOINTS, checkpoint_directory

WITHOUT_MODELS = "classical"
WITH_MODELS = "cotracker_mobile_sam"
_CHECKPOINTS = ("cotracker3_online", "mobile_sam")
_MOBILE_SAM = MODELS["mobile_sam"]
_PACKAGES = (_MOBILE_SAM.module, *_MOBILE_SAM.imports)


def recommended_configuration() -> str:
    """The name of a file in ``config/``, without its extension.

    ``cotracker_mobile_sam`` if its checkpoints and packages are installed, else ``classical``.
    Checkpoints are not verified here, but when they are loaded.
    """
    folder = checkpoint_directory()
    files = all((folder / CHECKPOINTS[name].file).is_file() for name in _CHECKPOINTS)
    packages = all(find_spec(name) is not None for name in _PACKAGES)
    return WITH_MODELS if files and packages else WITHOUT_MODELS
