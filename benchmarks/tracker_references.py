"""The authors' programs of trackers, to be measured beside ours; they are not installed by us."""

from __future__ import annotations

import importlib
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

WINDOW = 16


class Contestant(ABC):
    """A tracker that is shown a film, some frames at a time."""

    name: str
    device: Any  # a torch.device

    @abstractmethod
    def start(self, points: np.ndarray) -> None:
        """Begin anew with ``(N, 2)`` points of the first frame."""

    @abstractmethod
    def take(self, images: np.ndarray) -> None:
        """Track through the next frames, ``uint8 (T, H, W, 3)``."""

    @abstractmethod
    def tracks(self) -> np.ndarray:
        """Where the points were in the frames answered for so far, ``(T, N, 2)``."""


class Reference(Contestant):
    """An authors' program; ImportError if it is not installed."""

    name: ClassVar[str]  # type: ignore[misc]
    ours: ClassVar[str]
    """The name of the tracker of ours that gives the same results."""

    def __init__(self, device: Any, checkpoint: Path) -> None:
        self.device = device


class CoTrackerPredictor(Reference):
    """The authors' CoTrackerOnlinePredictor, given 16 frames for every 8 new ones."""

    name, ours = "cotracker's predictor", "cotracker windowed"

    def __init__(self, device: Any, checkpoint: Path) -> None:
        super().__init__(device, checkpoint)
        module = importlib.import_module("cotracker.predictor")
        self.model = module.CoTrackerOnlinePredictor(checkpoint=str(checkpoint)).to(device)

    def start(self, points: np.ndarray) -> None:
        self.seen: np.ndarray = np.zeros(0)
        self.queries = _queries(points, self.device)

    def take(self, images: np.ndarray) -> None:
        if len(self.seen) == 0:
            self.model(_video(images, self.device), is_first_step=True, queries=self.queries)
            self.seen = images
        else:
            self.seen = np.concatenate([self.seen, images])[-WINDOW:]
        self.found, _ = self.model(_video(self.seen, self.device))

    def tracks(self) -> np.ndarray:
        found: np.ndarray = self.found[0].cpu().numpy()
        return found


class LiteTracker(Reference):
    """The authors' LiteTracker, frame by frame."""

    name, ours = "litetracker", "cotracker"

    def __init__(self, device: Any, checkpoint: Path) -> None:
        import torch

        super().__init__(device, checkpoint)
        module = importlib.import_module("src.lite_tracker")
        self.model = module.LiteTracker(model_resolution=(384, 512))
        self.model.load_state_dict(torch.load(checkpoint, weights_only=True))
        self.model.eval().to(device)

    def start(self, points: np.ndarray) -> None:
        self.model.reset()
        self.queries = _queries(points, self.device)
        self.found: list[np.ndarray] = []

    def take(self, images: np.ndarray) -> None:
        for image in images:
            tracks = self.model(_video(image[None], self.device)[:, 0], self.queries)[0]
            self.found.append(tracks.reshape(-1, 2).cpu().numpy())

    def tracks(self) -> np.ndarray:
        return np.stack(self.found)


class TapirLive(Reference):
    """The authors' causal BootsTAPIR in PyTorch, frame by frame, on images of 256x256."""

    name, ours = "tapnet's live TAPIR", "tapir"

    def __init__(self, device: Any, checkpoint: Path) -> None:
        import torch

        super().__init__(device, checkpoint)
        module = importlib.import_module("tapnet.torch.tapir_model")
        self.model = module.TAPIR(
            pyramid_level=1,
            use_casual_conv=True,
            initial_resolution=(256, 256),
            extra_convs=True,
        )
        self.model.load_state_dict(torch.load(checkpoint, weights_only=True))
        self.model.eval().to(device)

    def start(self, points: np.ndarray) -> None:
        self.points = points
        self.state: Any = None
        self.found: list[np.ndarray] = []

    def take(self, images: np.ndarray) -> None:
        import torch
        import torch.nn.functional as F

        for image in images:
            height, width = image.shape[:2]
            scale = np.array([256 / width, 256 / height], np.float32)
            planes = torch.from_numpy(image).to(self.device).permute(2, 0, 1)[None].float()
            planes = F.interpolate(planes / 255 * 2 - 1, (256, 256), mode="bilinear")
            frame = planes.permute(0, 2, 3, 1)[None]
            grids = self.model.get_feature_grids(frame, is_training=False)
            if self.state is None:
                corner = (self.points + 0.5) * scale
                rows = np.concatenate([np.zeros((len(corner), 1)), corner[:, ::-1]], 1)
                self.queries = self.model.get_query_features(
                    frame,
                    is_training=False,
                    query_points=torch.from_numpy(rows.astype(np.float32))[None].to(self.device),
                    feature_grids=grids,
                )
                self.state = self.model.construct_initial_causal_state(
                    len(corner), len(self.queries.resolutions) - 1
                )
                self.state = [
                    {key: value.to(self.device) for key, value in each.items()}
                    for each in self.state
                ]
            answer = self.model.estimate_trajectories(
                (256, 256),
                is_training=False,
                feature_grids=grids,
                query_features=self.queries,
                query_points_in_video=None,
                query_chunk_size=64,
                causal_context=self.state,
                get_causal_context=True,
            )
            self.state = answer["causal_context"]
            found = answer["tracks"][-1][0, :, 0].cpu().numpy() / scale - 0.5
            # In the frame of the query ours gives the query.
            self.found.append(found if self.found else self.points)

    def tracks(self) -> np.ndarray:
        return np.stack(self.found)


REFERENCES: tuple[type[Reference], ...] = (CoTrackerPredictor, LiteTracker, TapirLive)


def _video(images: np.ndarray, device: Any) -> Any:
    import torch

    return torch.from_numpy(images).to(device).permute(0, 3, 1, 2)[None].float()


def _queries(points: np.ndarray, device: Any) -> Any:
    import torch

    rows = np.concatenate([np.zeros((len(points), 1), np.float32), points], 1)
    return torch.from_numpy(rows)[None].to(device)
