"""A camera, a node and a listener in processes of their own, over DDS.

As programs: ``python -m benchmarks.stream camera`` publishes a film, with each image's stamp set
just before it is published, and prints the stamps; ``python -m benchmarks.stream echo`` stands
where the node stands and does nothing but answer each image with an empty TrackedObjectArray.
Both end with their stdin.
"""

from __future__ import annotations

import argparse
import array
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import cv2
import numpy as np
import rclpy
from builtin_interfaces.msg import Time
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sam_pt_ros.msg import (
    ObjectMaskArray,
    ObjectPrompt,
    Performance,
    PointPrompt,
    TrackedObjectArray,
    TrackedPointArray,
)
from sam_pt_ros.srv import AddObjects, RemoveObject
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Header

from sam_pt_ros.weights.memory import keep_freed_memory, share_freed_memory

ROOT = Path(__file__).resolve().parents[1]
PROFILE = ROOT / "config" / "fastdds_large_images.xml"
STUBS = Path(__file__).with_name("stubs")
FILM_LENGTH = 30  # frames, there and back again
TIMEOUT = 60.0
OUTPUTS: dict[str, Any] = {
    "objects": TrackedObjectArray,
    "label_image": Image,
    "masks": ObjectMaskArray,
    "tracked_points": TrackedPointArray,
    "overlay": Image,
    "overlay/compressed": CompressedImage,
    "performance": Performance,
}
"""Topics of the node, below its name."""

_IMAGES = QoSProfile(depth=10, reliability=ReliabilityPolicy.RELIABLE)
_RESULTS = QoSProfile(depth=100, reliability=ReliabilityPolicy.RELIABLE)


def stamp_of(header: Header) -> int:
    """Nanoseconds."""
    return int(header.stamp.sec) * 1_000_000_000 + int(header.stamp.nanosec)


# --- the film -----------------------------------------------------------------------------


def middles(width: int, height: int) -> list[tuple[int, int]]:
    """Pixels, x and y, that the two things of the film never leave."""
    return [(width * 3 // 10, height // 2), (width * 7 // 10, height // 2)]


def film(width: int, height: int) -> list[np.ndarray]:
    """Frames, RGB ``uint8 (H, W, 3)``: two textured discs that swing, over a smooth picture."""
    random = np.random.default_rng(0)

    def texture(low: int, high: int, cell: int) -> np.ndarray:
        coarse = random.integers(low, high, (height // cell, width // cell, 3), np.uint8)
        return np.asarray(cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC))

    background = texture(40, 120, 24)
    things = [(texture(150, 255, 8), (1.0, 0.45, 0.35)), (texture(150, 255, 8), (0.35, 0.6, 1.0))]
    noise = random.integers(0, 6, background.shape, np.uint8)
    frames = []
    for index in range(FILM_LENGTH):
        image = background.copy()
        # One radius at most, so that the middle stays within.
        swing = (index / (FILM_LENGTH - 1) - 0.5) * height / 8
        for (x, y), (pattern, colour) in zip(middles(width, height), things):
            disc = np.zeros((height, width), np.uint8)
            cv2.circle(disc, (round(x + swing), round(y + swing / 2)), height // 8, 1, -1)
            moved = np.roll(pattern, (round(swing / 2), round(swing)), (0, 1))
            image[disc > 0] = (moved * colour)[disc > 0]
        frames.append(np.asarray(cv2.add(image, np.roll(noise, 37 * index, 1))))
    return frames


def _as_message(image: np.ndarray) -> Image:
    height, width = image.shape[:2]
    data = array.array("B")
    data.frombytes(image.tobytes())
    made = Image(height=height, width=width, encoding="rgb8", step=3 * width)
    made.header.frame_id = "camera_optical_frame"
    made.data = data
    return made


def run_camera(width: int, height: int, rate: float) -> None:
    """Publish until stdin is closed; the stamps on stdout, one a line."""
    forward = [_as_message(image) for image in film(width, height)]
    messages = forward + forward[-2:0:-1]
    rclpy.init()
    node = Node("camera")
    publisher = node.create_publisher(Image, "image", _IMAGES)
    ended = threading.Event()
    threading.Thread(target=lambda: (sys.stdin.read(), ended.set()), daemon=True).start()
    begin, count = time.monotonic(), 0
    while not ended.wait(max(begin + count / rate - time.monotonic(), 0)):
        message = messages[count % len(messages)]
        seconds, nanoseconds = divmod(time.time_ns(), 1_000_000_000)
        message.header.stamp = Time(sec=seconds, nanosec=nanoseconds)
        publisher.publish(message)
        sys.stdout.write(f"{seconds * 1_000_000_000 + nanoseconds}\n")
        sys.stdout.flush()
        count += 1
    rclpy.try_shutdown()


def run_echo() -> None:
    """Answer each image with its header until stdin is closed."""
    rclpy.init()
    node = Node("sam_pt")
    publisher = node.create_publisher(TrackedObjectArray, "~/objects", 10)
    node.create_subscription(
        Image,
        "image",
        lambda message: publisher.publish(TrackedObjectArray(header=message.header)),
        QoSProfile(depth=5, reliability=ReliabilityPolicy.RELIABLE),
    )
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    threading.Thread(target=executor.spin, daemon=True).start()
    sys.stdin.read()
    rclpy.try_shutdown()


# --- the processes ------------------------------------------------------------------------


def free_domain() -> int:
    """A ROS domain from 1 to 101 in which nobody is, as far as this machine knows."""
    for number in range(101):
        domain = (os.getpid() + number) % 101 + 1
        first = 7400 + 250 * domain
        try:
            for port in (first + 10, first + 11):  # those of a domain's first participant
                with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
                    probe.bind(("", port))
        except OSError:
            continue
        return domain
    raise RuntimeError("all ROS domains are in use")


def node_command(config: Path | None, *parameters: str) -> list[str]:
    """The command that starts the node; parameters as ``name:=value``."""
    command = [sys.executable, "-m", "sam_pt_ros.track_node", "--ros-args"]
    if config is not None:
        command += ["--params-file", str(config)]
    for parameter in parameters:
        command += ["-p", parameter]
    return command


ECHO = [sys.executable, "-m", "benchmarks.stream", "echo"]
"""The command that starts the bare echo."""


@dataclass(frozen=True)
class Heard:
    """One message of the node.

    Attributes:
        stamp: of its header, nanoseconds.
        at: when the listener had it in hand, nanoseconds of the clock of the stamps.
        sent: when its publisher handed it to DDS, by the same clock.
        message: it; None for outputs that are only counted.
    """

    stamp: int
    at: int
    sent: int
    message: Any = None


@dataclass
class Session:
    """A camera and a node in a domain of their own, and a listener in this process.

    Attributes:
        command: starts the node.
        width: of the images.
        height: of the images.
        rate: images per second.
        outputs: topics that are listened to.
        kept: those of which the messages are kept, and not just their stamps.
        roomy: whether DDS has room for large images (``config/fastdds_large_images.xml``).
    """

    command: Sequence[str]
    width: int
    height: int
    rate: float
    outputs: Sequence[str] = ("objects", "label_image", "tracked_points", "performance")
    kept: Sequence[str] = ("performance",)
    roomy: bool = True

    def __enter__(self) -> Session:
        domain = free_domain()
        # The default on one machine, and nothing that others on the network do disturbs it.
        os.environ.setdefault("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
        for name in ("FASTDDS", "FASTRTPS"):
            os.environ.pop(f"{name}_DEFAULT_PROFILES_FILE", None)
        path = [str(STUBS), os.environ.get("PYTHONPATH", "")]
        variables = {
            **os.environ,
            "ROS_DOMAIN_ID": str(domain),
            "PYTHONPATH": os.pathsep.join(filter(None, path)),
        }
        if self.roomy:
            old = os.environ.get("ROS_DISTRO") in ("humble", "jazzy")
            name = "FASTRTPS" if old else "FASTDDS"
            variables[f"{name}_DEFAULT_PROFILES_FILE"] = str(PROFILE)
        self.heard: dict[str, list[Heard]] = {name: [] for name in self.outputs}
        self._published: list[int] = []
        self._lock = threading.Lock()
        self._processes: list[subprocess.Popen[str]] = []
        self._log: IO[str] = tempfile.TemporaryFile("w+")
        self._clients: dict[str, Any] = {}
        self._context = Context()
        rclpy.init(context=self._context, domain_id=domain)
        self._node = Node("listener", context=self._context)
        for name in self.outputs:
            self._listen(name)
        self._executor = SingleThreadedExecutor(context=self._context)
        self._executor.add_node(self._node)
        self._spinning = threading.Thread(target=self._executor.spin, daemon=True)
        self._spinning.start()
        size = ["--width", str(self.width), "--height", str(self.height)]
        camera = [sys.executable, "-m", "benchmarks.stream", "camera", *size]
        self.node = self._start(list(self.command), variables, self._log)
        try:
            # First the node: what is published before it listens is of no use.
            self._wait_for_node()
            self.camera = self._start(
                [*camera, "--rate", str(self.rate)], variables, subprocess.PIPE
            )
            threading.Thread(target=self._read_stamps, daemon=True).start()
            self.wait_for(lambda: self.heard["objects"], "a first result")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for process in reversed(self._processes):
            assert process.stdin is not None
            process.stdin.close()
            if process is self.node:
                process.terminate()
            try:
                process.wait(TIMEOUT)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self._executor.shutdown()
        self._spinning.join(TIMEOUT)
        self._node.destroy_node()
        rclpy.shutdown(context=self._context)
        self._log.close()

    @property
    def log(self) -> str:
        """What the node has printed."""
        self._log.seek(0)
        return self._log.read()

    def published(self) -> list[int]:
        """Stamps of the camera's images so far."""
        with self._lock:
            return list(self._published)

    def take(self) -> dict[str, list[Heard]]:
        """What was heard since the last time, by output."""
        with self._lock:
            taken = {name: list(found) for name, found in self.heard.items()}
            for found in self.heard.values():
                found.clear()
        return taken

    def wait_for(self, condition: Callable[[], Any], what: str) -> None:
        """Wait until a condition is true."""
        deadline = time.monotonic() + TIMEOUT
        while not condition():
            if self.node.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"waited in vain for {what}; the node said:\n{self.log}")
            time.sleep(0.02)

    def add_objects(self, *middles: tuple[float, float]) -> list[int]:
        """Start an object at each of these pixels; their ids."""
        asked = [
            ObjectPrompt(points=[PointPrompt(x=float(x), y=float(y), label=PointPrompt.POSITIVE)])
            for x, y in middles
        ]
        answer = self._call(AddObjects, "add_objects", AddObjects.Request(objects=asked))
        return list(answer.object_ids)

    def remove_object(self, object_id: int) -> None:
        """Have the node forget one."""
        self._call(RemoveObject, "remove_object", RemoveObject.Request(object_id=object_id))

    def cpu_seconds(self) -> float:
        """Processor time that the node has taken so far, all threads."""
        stat = Path(f"/proc/{self.node.pid}/stat").read_text()
        user, system = stat[stat.rindex(")") + 2 :].split()[11:13]
        return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")

    def resident(self) -> int:
        """Bytes of memory that the node has."""
        return int(Path(f"/proc/{self.node.pid}/statm").read_text().split()[1]) * os.sysconf(
            "SC_PAGE_SIZE"
        )

    def _call(self, kind: Any, name: str, request: Any) -> Any:
        if name not in self._clients:
            self._clients[name] = self._node.create_client(kind, f"/sam_pt/{name}")
        client = self._clients[name]
        if not client.wait_for_service(TIMEOUT):
            raise RuntimeError(f"nobody offers the service {name}")
        done = threading.Event()
        future = client.call_async(request)
        future.add_done_callback(lambda _: done.set())
        if not done.wait(TIMEOUT):
            raise RuntimeError(f"the service {name} does not answer")
        answer = future.result()
        if not answer.success:
            raise RuntimeError(f"the service {name}: {answer.message}")
        return answer

    def _listen(self, name: str) -> None:
        kept, heard = name in self.kept, self.heard[name]

        def hear(message: Any, info: Any) -> None:
            now = time.time_ns()
            with self._lock:
                heard.append(
                    Heard(
                        stamp_of(message.header),
                        now,
                        info["source_timestamp"],
                        message if kept else None,
                    )
                )

        self._node.create_subscription(OUTPUTS[name], f"/sam_pt/{name}", hear, _RESULTS)

    def _start(
        self, command: list[str], variables: dict[str, str], output: Any
    ) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            env=variables,
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=self._log,
            text=True,
        )
        self._processes.append(process)
        return process

    def _wait_for_node(self) -> None:
        self.wait_for(lambda: self._node.count_subscribers("image"), "the node to listen")

    def _read_stamps(self) -> None:
        assert self.camera.stdout is not None
        for line in self.camera.stdout:
            with self._lock:
                self._published.append(int(line))


# --- numbers ------------------------------------------------------------------------------


def percentiles(values: Sequence[float]) -> dict[str, float]:
    """p50, p95, p99 and max; NaN without values."""
    found = np.percentile(values, [50, 95, 99, 100]) if len(values) else [np.nan] * 4
    return {name: round(float(v), 3) for name, v in zip(("p50", "p95", "p99", "max"), found)}


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.stream", description=__doc__)
    parser.add_argument("what", choices=("camera", "echo"))
    parser.add_argument("--width", type=int, default=640)
    parser.add_argument("--height", type=int, default=480)
    parser.add_argument("--rate", type=float, default=30.0, help="images per second")
    options = parser.parse_args(arguments)
    keep_freed_memory()  # so that what is measured is not the camera
    share_freed_memory()
    if options.what == "echo":
        run_echo()
    else:
        run_camera(options.width, options.height, options.rate)
    return 0


if __name__ == "__main__":
    sys.exit(main())
