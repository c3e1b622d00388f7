"""Real small recordings, damaged by chance: no traceback, and what was readable is there."""

from __future__ import annotations

import random
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
import yaml

pytest.importorskip("rosbags")
pytest.importorskip("mcap")

from rosbags.rosbag2 import StoragePlugin

from sam_pt_ros.cli import main
from sam_pt_ros.errors import UserError
from sam_pt_ros.evaluation.bag_input import BagInput, NoTruth
from sam_pt_ros.recordings.clicks import Click
from sam_pt_ros.recordings.cutting import cut_bag, image_message, prompts_message
from sam_pt_ros.recordings.recording import METADATA, open_recording, storage_files
from sam_pt_ros.recordings.rosbag2 import IMAGE_TYPE, PROMPTS_TYPE
from sam_pt_ros.recordings.sources import BagSource, StampedImage
from support.media import frame, write_bag

SECOND = 1_000_000_000
COUNT = 12


@pytest.fixture(scope="module", params=[StoragePlugin.MCAP, StoragePlugin.SQLITE3], ids=str)
def whole(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    messages = []
    for index in range(COUNT):
        stamp = SECOND + index * SECOND // 25
        pixels = frame(index, (64, 48))[:, :, ::-1]
        image = StampedImage.from_rgb(pixels, stamp)
        if index == 0:
            clicks = prompts_message([Click(20, 20)], image)
            messages.append(("/points", PROMPTS_TYPE, clicks, stamp))
        messages.append(("/image", IMAGE_TYPE, image_message(image), stamp))
    return write_bag(tmp_path_factory.mktemp("whole") / "bag", messages, request.param)


def truncated(bag: Path, rng: random.Random) -> None:
    (file,) = storage_files(bag)
    content = file.read_bytes()
    file.write_bytes(content[: rng.randrange(len(content))])


def overwritten(bag: Path, rng: random.Random) -> None:
    (file,) = storage_files(bag)
    content = bytearray(file.read_bytes())
    for _ in range(rng.randrange(1, 20)):
        content[rng.randrange(len(content))] = rng.randrange(256)
    file.write_bytes(content)


def shortened(bag: Path, rng: random.Random) -> None:
    """A piece is missing in the middle."""
    (file,) = storage_files(bag)
    content = file.read_bytes()
    begin = rng.randrange(len(content))
    file.write_bytes(content[:begin] + content[begin + rng.randrange(1, 5000) :])


def other_metadata(bag: Path, rng: random.Random) -> None:
    """Some value of metadata.yaml is another one."""
    content = yaml.safe_load((bag / METADATA).read_text())
    places = []

    def walk(node: object) -> None:
        children = node.items() if isinstance(node, dict) else enumerate(node)  # type: ignore
        for key, value in children:
            places.append((node, key))
            if isinstance(value, (dict, list)):
                walk(value)

    walk(content)
    node, key = rng.choice(places)
    node[key] = rng.choice([None, "", [], {}, -1, 1 << 70, "text", ["a"], 0.5])
    (bag / METADATA).write_text(yaml.safe_dump(content))


def broken_metadata(bag: Path, rng: random.Random) -> None:
    path = bag / METADATA
    text = path.read_text()
    path.write_text(text[: rng.randrange(len(text))] + rng.choice(["", "[", "\x00", "\t:"]))


def renamed(bag: Path, rng: random.Random) -> None:
    (file,) = storage_files(bag)
    file.rename(bag / rng.choice(["x.mcap", "x.db3", "x.mcap.zstd", "x"]))


def other_rows(bag: Path, rng: random.Random) -> None:
    """Types, serializations, QoS, order or data in the tables; a piece in an MCAP file."""
    (file,) = storage_files(bag)
    if file.suffix != ".db3":
        overwritten(bag, rng)
        return
    with suppress(sqlite3.Error), sqlite3.connect(file) as database:
        database.execute(
            rng.choice(
                [
                    "UPDATE topics SET type = 'sensor_msgs/Image' WHERE name = '/image'",
                    "UPDATE topics SET type = ''",
                    "UPDATE topics SET serialization_format = 'other'",
                    "UPDATE topics SET offered_qos_profiles = '- {'",
                    "UPDATE messages SET timestamp = -timestamp",
                    "UPDATE messages SET data = NULL WHERE id = 5",
                    "UPDATE messages SET data = 'text' WHERE id = 5",
                    "UPDATE messages SET data = substr(data, 1, 7) WHERE id > 3",
                    "UPDATE messages SET topic_id = 99 WHERE id = 4",
                    "UPDATE messages SET timestamp = 'then'",
                    "DROP TABLE messages",
                    "DROP TABLE topics",
                ]
            )
        )


DAMAGES: list[Callable[[Path, random.Random], None]] = [
    truncated,
    overwritten,
    shortened,
    other_metadata,
    broken_metadata,
    renamed,
    other_rows,
]


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)
@pytest.mark.parametrize(
    "seeds", [range(12), pytest.param(range(12, 200), marks=pytest.mark.slow)], ids=["few", "many"]
)
def test_a_damaged_recording_is_read_or_refused_in_a_sentence(
    whole: Path, tmp_path: Path, damage: Callable[[Path, random.Random], None], seeds: range
) -> None:
    read = 0
    for seed in seeds:
        bag = tmp_path / f"{seed}"
        shutil.copytree(whole, bag)
        damage(bag, random.Random(seed))
        before = {path.name: path.read_bytes() for path in bag.iterdir()}
        for use in (evaluated, cut):
            count, refusal = tried(use, bag, tmp_path / "cut")
            if count is None:
                assert str(bag) in refusal or "/image" in refusal, (seed, refusal)
                assert "\n" not in refusal
            else:
                assert 0 < count <= COUNT
                read += 1
        assert {path.name: path.read_bytes() for path in bag.iterdir()} == before
        shutil.rmtree(bag)
    if damage in (other_metadata, broken_metadata):
        assert read > len(seeds), "most of this is no obstacle"


def tried(use: Callable[[Path, Path], int], bag: Path, to: Path) -> tuple[int | None, str]:
    """What came of it, or why nothing did."""
    try:
        return use(bag, to), ""
    except UserError as error:
        return None, str(error)


def evaluated(bag: Path, _: Path) -> int:
    """Frames that an evaluation would see."""
    with open_recording(bag) as recording:
        found = BagInput.find(recording)
        found.prompts()
        found.camera((48, 64))
        return len(list(found.images(NoTruth())))


def cut(bag: Path, to: Path) -> int:
    """Images that a replay or a demonstration would play."""
    with open_recording(bag) as recording:
        return len(cut_bag(to, BagSource(recording), [Click(20, 20)]).stamps)


COMMANDS = {
    "evaluate": (
        *("evaluate", "{bag}", "--config", "classical", "--no-bag", "--no-film"),
        *("--out", "{out}"),
    ),
    "replay": ("replay", "{bag}", "--config", "classical", "--out", "{out}"),
    "demo": ("demo", "--bag", "{bag}", "--click", "20,20", "--out", "{out}"),
    "make-bag": ("make-bag", "{bag}", "{out}"),
}


@pytest.mark.parametrize(
    ("command", "damage", "seeds"),
    [
        *(("evaluate", damage, range(1)) for damage in (truncated, broken_metadata, other_rows)),
        *(
            pytest.param(command, damage, seeds, marks=pytest.mark.slow)
            for damage in DAMAGES
            for command, seeds in (
                ("evaluate", range(1, 12)),
                ("replay", range(2)),
                ("demo", range(2)),
                ("make-bag", range(1)),
            )
        ),
    ],
)
def test_commands_end_as_documented_on_a_damaged_recording(
    whole: Path,
    tmp_path: Path,
    damage: Callable[[Path, random.Random], None],
    command: str,
    seeds: range,
    capfd: pytest.CaptureFixture[str],
) -> None:
    for seed in seeds:
        bag, out = tmp_path / f"{seed}", tmp_path / f"out{seed}"
        shutil.copytree(whole, bag)
        damage(bag, random.Random(seed))
        count, _ = tried(evaluated, bag, out)
        code = main([part.format(bag=bag, out=out) for part in COMMANDS[command]])
        said = capfd.readouterr()
        assert "Traceback" not in said.out + said.err, (seed, said)
        assert code in (0, 1, 2)
        if code:
            (line,) = [line for line in said.err.splitlines() if line.startswith("sam-pt: ")]
            assert str(bag) in line or "/image" in line or "/points" in line, (seed, line)
        if command == "evaluate" and code < 2:
            rows = (out / "results.csv").read_text().splitlines()[1:]
            assert len({row.split(",")[0] for row in rows}) == count, (seed, said)
