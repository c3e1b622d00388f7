"""Coverage-guided fuzzing of untrusted input: images, clicks and files of prompts.

    .venv/bin/pip install --no-deps --target build/fuzz/atheris atheris
    PYTHONPATH=build/fuzz/atheris .venv/bin/python scripts/fuzz.py image -max_total_time=150

The first argument is one of TARGETS; the others are options of libFuzzer (-help=1 lists them). The
package must accept each input or refuse it with a UserError. Any other exception is a finding: it
is printed once per place that raises it, its input is saved in build/fuzz/TARGET/findings, and
fuzzing continues. A crash of the process, use of more than 2 GB, or an input that takes more than
five seconds ends the run. Inputs that reach new code are saved in build/fuzz/TARGET/corpus, from
which the next run starts. OpenCV and NumPy are not instrumented.

atheris is not a dependency, because it has no wheels for some supported versions of Python.
"""

from __future__ import annotations

import hashlib
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import atheris

with atheris.instrument_imports(include=["sam_pt_ros", "yaml"]):
    from sam_pt_ros.errors import UserError
    from sam_pt_ros.evaluation.prompts import read_prompts
    from sam_pt_ros.interchange import compressed_images, images, messages

import cv2
import numpy as np

FOLDER = Path(__file__).resolve().parents[1] / "build" / "fuzz"
PROMPTS_FILE = Path("/dev/shm") if Path("/dev/shm").is_dir() else FOLDER
UINT32 = 2**32 - 1


def take_or_refuse(function: Callable[..., object], *arguments: object) -> object:
    """The result of a call; None if it refuses its input with a UserError."""
    try:
        return function(*arguments)
    except UserError:
        return None


def made_image(choose: atheris.FuzzedDataProvider) -> SimpleNamespace:
    """An image message whose data has about the claimed size, or any size."""

    def number(low: int, high: int) -> int:
        whole = choose.ConsumeIntInRange(0, 9) == 0
        return (
            choose.ConsumeIntInRange(0, UINT32) if whole else choose.ConsumeIntInRange(low, high)
        )

    known = (*images.ENCODINGS, "16UC1", "32FC1")
    if choose.ConsumeIntInRange(0, 9):
        encoding = known[choose.ConsumeIntInRange(0, len(known) - 1)]
    else:
        encoding = choose.ConsumeUnicodeNoSurrogates(20)
    height, width = number(14, 20), number(14, 20)
    step = number(width, width * 4 + 5)
    size = min(max(height * step + number(0, 8) - 4, 0), 1 << 16)
    seed = choose.ConsumeIntInRange(0, 255)
    return SimpleNamespace(
        encoding=encoding,
        height=height,
        width=width,
        step=step,
        is_bigendian=choose.ConsumeIntInRange(0, 255),
        data=np.random.default_rng(seed).integers(0, 256, size, np.uint8),
    )


def image(data: bytes) -> None:
    message = made_image(atheris.FuzzedDataProvider(data))
    decoded = take_or_refuse(images.decode_image, message)
    if isinstance(decoded, np.ndarray):
        assert decoded.shape == (message.height, message.width, 3) and decoded.dtype == np.uint8
        assert decoded.flags.c_contiguous and decoded.flags.owndata
    for decode in (images.decode_mask, images.decode_labels):
        decoded = take_or_refuse(decode, message)
        if isinstance(decoded, np.ndarray):
            assert decoded.shape == (message.height, message.width)


def compressed(data: bytes) -> None:
    said, _, data = data.partition(b"|")
    message = SimpleNamespace(format=said.decode(errors="replace"), data=data)
    decoded = take_or_refuse(compressed_images.decode_compressed, message)
    if isinstance(decoded, np.ndarray):
        assert decoded.ndim == 3 and decoded.shape[2] == 3 and decoded.dtype == np.uint8


def clicks(data: bytes) -> None:
    choose = atheris.FuzzedDataProvider(data)

    def coordinate() -> float:
        return choose.ConsumeFloat() if choose.ConsumeBool() else choose.ConsumeRegularFloat()

    points = [
        SimpleNamespace(
            object_id=choose.ConsumeIntInRange(0, UINT32 if choose.ConsumeBool() else 3),
            object_label=choose.ConsumeUnicodeNoSurrogates(4),
            x=coordinate(),
            y=coordinate(),
            label=choose.ConsumeIntInRange(0, 255 if choose.ConsumeBool() else 1),
        )
        for _ in range(choose.ConsumeIntInRange(0, 5))
    ]
    requests = take_or_refuse(messages.requests_from_points, points)
    if isinstance(requests, list):
        assert sum(len(request.prompt.points) for request in requests) == len(points)
        assert all(np.isfinite(request.prompt.points).all() for request in requests)
    sides = ("x_offset", "y_offset", "width", "height")
    box = {side: choose.ConsumeIntInRange(0, UINT32) for side in sides}
    prompt = SimpleNamespace(
        points=points, box=SimpleNamespace(**box), mask=made_image(choose), label=""
    )
    take_or_refuse(messages.request_from_prompt, prompt)


def prompts(data: bytes) -> None:
    path = PROMPTS_FILE / "fuzzed_prompts.yaml"
    path.write_bytes(data)
    take_or_refuse(read_prompts, path)


def image_seeds() -> list[bytes]:
    return [bytes(np.random.default_rng(seed).integers(0, 256, 64, np.uint8)) for seed in range(8)]


def compressed_seeds() -> list[bytes]:
    picture = np.random.default_rng(0).integers(0, 256, (16, 16, 3), np.uint8)
    files = [bytes(cv2.imencode(kind, picture)[1]) for kind in (".jpg", ".png")]
    formats = (b"jpeg", b"rgb8; jpeg compressed bgr8", b"bayer_rggb8; png compressed ")
    return [said + b"|" + file for said in formats for file in files]


def prompts_seeds() -> list[bytes]:
    return [
        b"prompts:\n"
        b"  - {frame: 0, pixel: [320, 180], object: 1, name: cup}\n"
        b"  - {frame: 0, pixel: [20, 40], label: negative, object: 1}\n",
        b"prompts: [{stamp: 1700000000123456789, pixel: [500, 90.5], label: 1, object: 2}]",
        b"prompts: [&a {frame: 0, pixel: [1, 2]}, *a, {<<: *a, name: x}]",
        b"prompts: [{frame: !!int '1', pixel: [!!float '1', 2], label: !!str 1}]",
        b"prompts: [{frame: 0, pixel: [1, 2], label: !!set {positive}, name: !!binary eA==}]",
        b"prompts: [{frame: 0, pixel: !!omap [x: 1, y: 2], name: !!timestamp 2001-01-01}]",
        b"prompts: [{frame: 0, pixel: [1, 2], object: !!bool yes, name: !!null x}]",
        b"prompts: [{frame: 0, pixel: [1" + 300 * b"0" + b", 2]}]",
    ]


TARGETS: dict[str, tuple[Callable[[bytes], None], Callable[[], list[bytes]]]] = {
    "image": (image, image_seeds),
    "compressed": (compressed, compressed_seeds),
    "clicks": (clicks, image_seeds),
    "prompts": (prompts, prompts_seeds),
}


class FindingsKept:
    """Calls a target, and saves the first input for each place that raises a wrong exception."""

    def __init__(self, target: Callable[[bytes], None], folder: Path) -> None:
        self._target = target
        self._folder = folder
        self._seen: set[tuple[str, str, int]] = set()

    def __call__(self, data: bytes) -> None:
        try:
            self._target(data)
        except Exception as error:
            place = traceback.extract_tb(error.__traceback__)[-1]
            key = (type(error).__name__, place.filename, place.lineno or 0)
            if key in self._seen:
                return
            self._seen.add(key)
            path = self._folder / hashlib.sha1(data).hexdigest()
            path.write_bytes(data)
            print(f"finding {len(self._seen)}: {path}", file=sys.stderr)
            traceback.print_exc(limit=-4)


def main() -> None:
    if len(sys.argv) < 2 or sys.argv[1] not in TARGETS:
        print(f"usage: scripts/fuzz.py {{{','.join(TARGETS)}}} [options of libFuzzer]")
        sys.exit(2)
    name = sys.argv[1]
    target, seeds = TARGETS[name]
    corpus, findings = FOLDER / name / "corpus", FOLDER / name / "findings"
    for folder in (corpus, findings):
        folder.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(seeds()):
        (corpus / f"seed{number}").write_bytes(seed)
    defaults = ["-timeout=5", f"-artifact_prefix={findings}/", "-print_final_stats=1"]
    arguments = [sys.argv[0], *defaults, *sys.argv[2:], str(corpus)]
    atheris.Setup(arguments, FindingsKept(target, findings))
    atheris.Fuzz()


if __name__ == "__main__":
    main()
