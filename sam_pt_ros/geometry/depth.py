"""Positions of tracked points and of object surfaces, from a depth image. Needs no ROS.

The depth image must be registered to the camera image: seen by the same camera, possibly at
another resolution. A pixel either has a reading, the distance along the optical axis (REP 118), or
none, which is NaN here (REP 117).
"""

from __future__ import annotations

import math
from functools import lru_cache

import cv2
import numpy as np

from sam_pt_ros.errors import UserError
from sam_pt_ros.geometry.camera import CameraModel
from sam_pt_ros.geometry.space import ObjectInSpace, SpatialResult
from sam_pt_ros.masks import CroppedMask
from sam_pt_ros.objects import POSITIVE, ObjectResult, TrackResult

STEP = 0.03
"""Largest difference between neighbours on one surface, relative to their distance. It exceeds
sensor noise, and the slope of any surface that is not seen almost edge-on."""

_ASPECT_TOLERANCE = 0.02  # relative; rounding of image sizes makes a difference

# Points.
_WINDOW = np.array([(x, y) for y in range(-2, 3) for x in range(-2, 3)])  # offsets around a point
_MIDDLE = len(_WINDOW) // 2
_FEWEST = 3  # smallest number of readings of a surface in the window
_LEAST_SHARE = 0.4  # smallest share of the readings there

# Objects.
_EROSION = 0.03  # radius by which a mask is eroded to its core, relative to the root of its area
_MOST_EROSION = 3  # pixels, upper limit of that radius
_KNOWN_SHARE = 0.05  # an object with readings in less of its core has no depth
_CORE_SHARE = 0.25  # if less of the mask's area remained, the mask is not eroded
_RIM = 1 + 2 * STEP  # tolerance at the rim, where round objects fall off steeply
_SAMPLES = 4096  # approximate number of readings in which an object's layers are searched
_BIN = STEP / 2  # bin width in the logarithm of depth
# Smallest layers, relative to the largest one. Nearer ones are parts that stick out, such as an
# arm. Farther ones are more likely background that bleeds in or shows through the object.
_NEARER_SHARE, _FARTHER_SHARE = 0.05, 0.5

_STRIDE = 16  # distance in pixels between the places where the lens model is checked


def locate(
    result: TrackResult, depth: np.ndarray, camera: CameraModel, frame_id: str
) -> SpatialResult:
    """Locate the points and the surfaces of all objects in the camera's optical frame.

    A visible point lies on its ray, at the median depth of the readings around it that belong to
    its surface; it is NaN if there are too few. The surface of an object in state TRACKING
    consists of all readings covered by its mask, except background that bleeds into the mask and
    flying pixels between two surfaces.

    Args:
        result: result of one image.
        depth: ``float32 (h, w)`` metres along the optical axis, NaN for no reading, registered to
            that image; of any size with the same aspect ratio.
        camera: camera of the image.
        frame_id: optical frame of the image.

    Returns:
        The positions of all objects that have any.

    Raises:
        UserError: the depth is not registered to the image, or the size of the camera's images
            is unknown.
    """
    image_size = result.label_image.shape
    height, width = image_size
    if abs(depth.shape[1] * height / (depth.shape[0] * width) - 1) > _ASPECT_TOLERANCE:
        raise UserError(
            f"it has {depth.shape[1]}x{depth.shape[0]} pixels, but the image has "
            f"{width}x{height}, another aspect ratio; register depth to the image: enable aligned "
            "depth in the camera driver, or run depth_image_proc's register node"
        )
    rays, reached = _rays_of(camera.resized((depth.shape[0], depth.shape[1])))
    if reached is not None:
        depth = np.where(reached, depth, np.float32(np.nan))
    camera = camera.resized((height, width))
    objects = {}
    for item in result.objects:
        mask = item.mask if depth.shape == image_size else item.mask.resized(depth.shape)
        points = _points(item, mask, depth, camera)
        cloud = _cloud(mask, depth, rays)
        if len(cloud) or np.isfinite(points).any():
            objects[item.object_id] = ObjectInSpace(points, cloud)
    return SpatialResult(frame_id, objects)


# --- points -------------------------------------------------------------------------------


def _points(
    item: ObjectResult, mask: CroppedMask, depth: np.ndarray, camera: CameraModel
) -> np.ndarray:
    """Positions of an object's points, ``float64 (N, 3)``; ``mask`` has the size of ``depth``."""
    tracks = item.points
    positions = np.full((len(tracks), 3), np.nan)
    visible = np.flatnonzero(tracks.visible)
    if len(visible) == 0:
        return positions
    xy = tracks.xy[visible].astype(np.float64)
    size, image_size = np.array(depth.shape[::-1]), np.array(item.mask.image_size[::-1])
    pixels = np.floor((xy + 0.5) * (size / image_size)).astype(np.int64)
    pixels -= xy + 0.5 == image_size  # the lower and the right edge belong to the image
    window = pixels[:, None] + _WINDOW
    inside = ((window >= 0) & (window < size)).all(-1)
    x, y = np.moveaxis(np.where(inside[..., None], window, 0), -1, 0)
    readings = np.where(inside, depth[y, x], np.float32(np.nan))
    known = np.isfinite(readings)
    positive = item.point_labels[visible] == POSITIVE
    own = _covers(mask, x, y) == positive[:, None]
    # Where the mask contradicts the point's own label, it is not used for its neighbours either.
    used = known & (own | ~own[:, _MIDDLE, None])
    distances = _of_one_surface(np.where(used, readings, np.float32(np.nan)))
    distances[~inside[:, _MIDDLE]] = np.nan
    positions[visible] = camera.rays(xy) * distances[:, None]
    return positions


def _covers(mask: CroppedMask, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Whether the mask covers the pixels at ``x``, ``y``; ``bool`` of the same shape."""
    left, top, width, height = mask.roi
    column, row = x - left, y - top
    covered = (column >= 0) & (column < width) & (row >= 0) & (row < height)
    covered[covered] = mask.pixels[row[covered], column[covered]]
    return covered


def _of_one_surface(readings: np.ndarray) -> np.ndarray:
    """Median depth of one surface in each window.

    It is the surface of the middle reading. If that is missing, or too few readings agree with
    it (a flying pixel between two surfaces), it is the surface with the most readings, the
    nearer one of equals.

    Args:
        readings: ``float32 (N, 25)`` metres, NaN for no reading.

    Returns:
        ``float32 (N,)`` metres; NaN if the surface has too few readings.
    """
    rows = np.arange(len(readings))
    middle = readings[:, _MIDDLE]
    values = np.sort(readings, 1)  # NaN last
    known = np.isfinite(values)
    # Sorted readings without a jump are one surface, however steep.
    jump = values[:, 1:] > values[:, :-1] * (1 + STEP)
    surface = np.pad(np.cumsum(jump, 1), ((0, 0), (1, 0)))
    same = (surface[:, :, None] == surface[:, None]) & known[:, None]
    counts = np.where(known, same.sum(2), 0)  # number of readings on the surface of each reading
    at_middle = (values == middle[:, None]).argmax(1)
    enough = np.maximum(_LEAST_SHARE * known.sum(1), _FEWEST)
    of_middle = np.where(np.isfinite(middle), counts[rows, at_middle], 0)
    chosen = np.where(of_middle >= enough, at_middle, counts.argmax(1))
    count = counts[rows, chosen]
    first = same[rows, chosen].argmax(1)
    # One of the two middle readings, not their mean, which no surface may have.
    medians = values[rows, first + count // 2]
    return np.where(count >= enough, medians, np.float32(np.nan))


# --- objects ------------------------------------------------------------------------------


def _cloud(mask: CroppedMask, depth: np.ndarray, rays: np.ndarray) -> np.ndarray:
    """The surface covered by a mask, ``float32 (M, 3)`` metres; all arguments have one size."""
    x, y, width, height = mask.roi
    if mask.area == 0:
        return np.zeros((0, 3), np.float32)
    window = slice(y, y + height), slice(x, x + width)
    z = np.ascontiguousarray(depth[window])
    chosen = np.flatnonzero(_surface(z, mask.pixels))
    # Each coordinate is contiguous, which makes reducing and transforming many times faster.
    cloud = np.empty((3, len(chosen)), np.float32)
    # With mode="raise", the default, numpy does not fill ``out`` directly.
    z.take(chosen, out=cloud[2], mode="clip")
    for axis in range(2):
        np.ascontiguousarray(rays[axis][window]).take(chosen, out=cloud[axis], mode="clip")
    cloud[:2] *= cloud[2]
    return cloud.T


def _surface(z: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Which readings belong to an object's surface, ``bool (h, w)``.

    Args:
        z: ``float32 (h, w)`` metres, NaN for no reading.
        mask: ``bool (h, w)``.
    """
    reading = mask & (z == z)
    if not reading.any():
        return reading
    kept = reading & ~_flying(_only(z, reading, np.nan))
    core, radius = _core(mask)
    inner = core & kept
    if cv2.countNonZero(inner.view(np.uint8)) < _KNOWN_SHARE * cv2.countNonZero(
        core.view(np.uint8)
    ):
        # Readings at the rim alone are more likely those of the background.
        return np.zeros(z.shape, np.bool_)
    on_layer = np.zeros(z.shape, np.bool_)
    for nearest, farthest in _layers(_samples(z, inner)):
        on_layer |= (z >= nearest) & (z <= farthest)
    kept &= on_layer
    if radius:
        # Background at the depth of another part of the object bleeds in only at the rim.
        kernel = np.ones((2 * radius + 1,) * 2, np.uint8)
        inner &= kept
        rim = np.flatnonzero(kept & ~core)
        nearest = cv2.erode(_only(z, inner, np.inf), kernel).take(rim)
        farthest = cv2.dilate(_only(z, inner, 0.0), kernel).take(rim)
        at_rim = z.take(rim)
        agrees = (at_rim * _RIM >= nearest) & (at_rim <= farthest * _RIM)
        np.put(kept, rim, agrees | (farthest == 0))
    return kept


def _only(z: np.ndarray, where: np.ndarray, other: float) -> np.ndarray:
    """``z`` where the mask ``where`` is set, and a constant elsewhere."""
    filled = np.full(z.shape, other, np.float32)
    cv2.copyTo(z, where.view(np.uint8), filled)
    return filled


def _flying(z: np.ndarray) -> np.ndarray:
    """Flying pixels, ``bool (h, w)``: most of their 8 neighbours are on another surface.

    Neighbours without a reading (NaN) do not count.
    """
    height, width = z.shape
    # A NaN at the end of each row puts neighbours at constant offsets in memory, which takes half
    # the time of slices.
    padded = np.full((height + 1, width + 1), np.nan, np.float32)
    padded[:height, :width] = z
    flat = padded.reshape(-1)
    tolerance = flat * np.float32(STEP)
    balance = np.zeros(flat.shape, np.int8)
    difference = np.empty_like(flat)
    jumps, agrees = np.empty((2, flat.size), np.bool_)
    for step in (1, width, width + 1, width + 2):  # right neighbour, and the three below
        here, there = slice(step, None), slice(0, -step)
        np.subtract(flat[here], flat[there], out=difference[there])
        np.abs(difference[there], out=difference[there])
        np.greater(difference[there], tolerance[here], out=jumps[there])
        np.less_equal(difference[there], tolerance[here], out=agrees[there])
        votes = jumps[there].view(np.int8)
        votes -= agrees[there].view(np.int8)
        balance[here] += votes
        balance[there] += votes
    return np.asarray((balance > 0).reshape(padded.shape)[:height, :width])


def _core(mask: np.ndarray) -> tuple[np.ndarray, int]:
    """A mask without its rim, and the rim's width; a small or thin mask keeps its rim (0)."""
    area = np.count_nonzero(mask)
    radius = min(max(round(_EROSION * area**0.5), 1), _MOST_EROSION)
    kernel = np.ones((2 * radius + 1,) * 2, np.uint8)
    core = cv2.erode(mask.view(np.uint8), kernel, borderType=cv2.BORDER_CONSTANT, borderValue=0)
    if cv2.countNonZero(core) >= _CORE_SHARE * area:
        return core.view(np.bool_), radius
    return mask, 0


def _samples(z: np.ndarray, where: np.ndarray) -> np.ndarray:
    """Evenly spread values of ``z`` where the mask ``where`` is set; at least one."""
    stride = int((np.count_nonzero(where) / _SAMPLES) ** 0.5) + 1
    some = slice(None, None, stride), slice(None, None, stride)
    samples = z[some][where[some]]
    return samples if len(samples) else z[where]


def _layers(samples: np.ndarray) -> list[tuple[float, float]]:
    """Nearest and farthest distance of each large layer of depths.

    Layers are separated by jumps in distance.

    Args:
        samples: ``float32 (N,)`` metres, N at least 1.
    """
    bins = np.floor(np.log(samples) / _BIN).astype(np.int64)
    lowest = int(bins.min())
    counts = np.bincount(bins - lowest)
    occupied = np.flatnonzero(counts)
    runs = np.split(occupied, np.flatnonzero(np.diff(occupied) * _BIN > STEP) + 1)
    sizes = [int(counts[run].sum()) for run in runs]
    largest = sizes.index(max(sizes))
    layers = []
    for number, (run, size) in enumerate(zip(runs, sizes)):
        if size >= max(sizes) * (_NEARER_SHARE if number < largest else _FARTHER_SHARE):
            low, high = (lowest + run[0]) * _BIN, (lowest + run[-1] + 1) * _BIN
            layers.append((math.exp(low - STEP), math.exp(high + STEP)))
    return layers


# --- rays ---------------------------------------------------------------------------------


@lru_cache(maxsize=2)
def _rays_of(camera: CameraModel) -> tuple[np.ndarray, np.ndarray | None]:
    """The rays through all pixels of a camera. Cached, because undistorting an image is slow.

    Returns:
        x and y of the rays at depth 1, ``float32 (2, H, W)``; and which pixels the lens model
        reaches, ``bool (H, W)``, None if it reaches all.
    """
    size = camera.size
    assert size is not None
    rows, columns = np.indices(size, np.float64)
    pixels = np.stack([columns, rows], -1)
    rays = camera.rays(pixels.reshape(-1, 2)).reshape(*size, 3)
    grid = np.ascontiguousarray(np.moveaxis(rays[..., :2], -1, 0), np.float32)

    # A pixel beyond the model has a ray as well, but the ray does not project back to it.
    some = slice(None, None, _STRIDE), slice(None, None, _STRIDE)
    again = camera.pixels(rays[some])
    missed = np.linalg.norm(again - pixels[some].reshape(-1, 2), axis=1)
    beyond = ~(missed < 1).reshape(rays[some].shape[:2])
    if not beyond.any():
        return grid, None
    near = cv2.dilate(beyond.view(np.uint8), np.ones((3, 3), np.uint8))
    whole = near.repeat(_STRIDE, 0).repeat(_STRIDE, 1)[: size[0], : size[1]]
    return grid, whole == 0
