"""Small films and bags for the tests of the demo."""

import cv2
import numpy as np

SIZE = (160, 120)
RATE = 25.0


def frame(index, size=SIZE):
    """BGR: an orange disc that moves to the right over a textured ground."""
    width, height = size
    rng = np.random.default_rng(0)
    ground = cv2.resize(rng.integers(60, 120, (height // 8, width // 8, 3)).astype(np.uint8), size)
    cv2.circle(ground, (40 + index, 60), 22, (40, 140, 250), -1, cv2.LINE_AA)
    cv2.circle(ground, (34 + index, 54), 6, (20, 60, 200), -1, cv2.LINE_AA)
    return ground


def count_frames(path):
    """Frames of a video, by decoding it."""
    capture = cv2.VideoCapture(str(path))
    frames = 0
    while capture.grab():
        frames += 1
    return frames


def write_video(path, frames=30, size=SIZE):
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"mp4v"), RATE, size)
    for index in range(frames):
        writer.write(frame(index, size))
    writer.release()
    return path
