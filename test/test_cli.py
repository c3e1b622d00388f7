import importlib.util
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest

from sam_pt_ros import __version__
from sam_pt_ros.cli import main

SOURCE = Path(__file__).resolve().parents[1]
TEXT = "this is not a film\n"


def needs_ros():
    for name in ("rclpy", "av", "rosbags", "rich", "sam_pt_ros.msg"):
        if importlib.util.find_spec(name) is None:
            pytest.skip(f"{name} is not there")


def test_the_version(capsys):
    with pytest.raises(SystemExit) as exit_:
        main(["--version"])
    assert exit_.value.code == 0
    assert capsys.readouterr().out == f"sam-pt {__version__}\n"


def test_help_names_every_option(capsys):
    with pytest.raises(SystemExit) as exit_:
        main(["demo", "--help"])
    assert exit_.value.code == 0
    out = capsys.readouterr().out
    options = "video camera bag image-topic click start duration config every-frame out"
    for option in options.split():
        assert f"--{option}" in out


def make_folder(path):
    """What the arguments of BAD name; and a film to click in."""
    from sam_pt_ros.recordings.cutting import image_message
    from sam_pt_ros.recordings.rosbag2 import IMAGE_TYPE, make_bag_header
    from sam_pt_ros.recordings.sources import StampedImage
    from support.media import write_bag, write_video

    (path / "text.mp4").write_text(TEXT)
    (path / "empty").mkdir()
    write_bag(path / "headers", [("/h", "std_msgs/msg/Header", make_bag_header(1, ""), 1)])
    image = StampedImage(1, 20, 20, "32FC3", 20, np.zeros(400, np.uint8))
    write_bag(path / "floats", [("/raw", IMAGE_TYPE, image_message(image), 1)])
    (path / "unknown.yaml").write_text("/**:\n  ros__parameters:\n    trackre: lucas_kanade\n")
    (path / "tracker.yaml").write_text("/**:\n  ros__parameters:\n    tracker: magic\n")
    write_video(path / "film.mp4", frames=5)


FILM = ["--video", "film.mp4"]

BAD = {
    "no command": ([], "COMMAND"),
    "unknown command": (["dream"], "dream"),
    "download of nothing": (["download"], "give names, --all or --list"),
    "download of a name and all": (["download", "mobile_sam", "--all"], "--all or --list"),
    "download of an unknown name": (["download", "mobilesam"], "did you mean 'mobile_sam'?"),
    "unknown option": (["demo", "--fast"], "--fast"),
    "no video": (["demo", "--video", "missing.mp4", "--click", "1,1"], "no such video"),
    "no camera": (["demo", "--camera", "63", "--click", "1,1"], "camera 63 cannot be opened"),
    "camera by name": (["demo", "--camera", "front"], "/dev/videoN"),
    "camera of a large number": (["demo", "--camera", "99999999999"], "0 to 255"),
    "no bag": (["demo", "--bag", "missing"], "no such recording; check the path"),
    "empty bag": (["demo", "--bag", "empty"], "not a readable rosbag2"),
    "bag without images": (["demo", "--bag", "headers"], "no images"),
    "bag of numbers": (["demo", "--bag", "floats", "--click", "1,1"], "use one of rgb8"),
    "topic without bag": (["demo", "--image-topic", "/image"], "--bag"),
    "two sources": (["demo", *FILM, "--camera", "0"], "not allowed with"),
    "unknown key": (["demo", "--config", "unknown.yaml"], "did you mean 'tracker'"),
    "unknown tracker": (["demo", "--config", "tracker.yaml"], "magic"),
    "no configuration": (["demo", "--config", "missing.yaml"], "cannot be read"),
    "no click": (["demo", *FILM], "160x120"),
    "click outside": (["demo", *FILM, "--click", "160,5"], "outside the image of 160x120"),
    "click of NaN": (["demo", *FILM, "--click", "nan,5"], "finite"),
    "click of one number": (["demo", *FILM, "--click", "5"], "x,y"),
    "click of unknown label": (["demo", *FILM, "--click", "5,5,yes"], "x,y"),
    "negative clicks only": (["demo", *FILM, "--click", "5,5,-"], "no positive click"),
    "click after the end": (["demo", *FILM, "--click", "5,5", "--start", "60"], "--start"),
    "start without click": (["demo", "--start", "1"], "--click"),
    "negative start": (["demo", *FILM, "--click", "5,5", "--start", "-1"], "0 or more"),
    "out is a file": (["demo", *FILM, "--click", "5,5", "--out", "text.mp4"], "--out"),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    needs_ros()
    path = tmp_path_factory.mktemp("bad_input")
    make_folder(path)
    return path


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_one_line_and_exit_code_2(name, folder, monkeypatch, capfd):
    monkeypatch.chdir(folder)
    arguments, expected = BAD[name]
    assert main(arguments) == 2
    error = capfd.readouterr().err
    assert error.startswith("sam-pt: ") and error.endswith("\n")
    assert error.count("\n") == 1, error
    assert expected in error
    assert (folder / "text.mp4").read_text() == TEXT


def test_an_unreadable_video_is_one_line_and_exit_code_2(folder):
    # In a process of its own: FFmpeg is told once and for all what to say.
    command = [sys.executable, "-m", "sam_pt_ros.cli", "demo", "--video", folder / "text.mp4"]
    done = subprocess.run(
        [*command, "--out", folder / "out"],
        cwd=SOURCE,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1 and "cannot be read as a video" in done.stderr


def test_a_full_disk_is_one_line_and_exit_code_2(folder):
    script = """
        import resource, sys
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
        from sam_pt_ros.cli import main
        sys.exit(main(["demo", "--video", "film.mp4", "--click", "5,5", "--out", "full"]))
    """
    command = [sys.executable, "-c", textwrap.dedent(script)]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300)
    assert done.returncode == 2, done.stderr
    assert done.stderr.count("\n") == 1 and "File too large" in done.stderr
    assert not list((folder / "full").iterdir())


def test_who_does_not_click_is_shown_where_to(folder, monkeypatch, capsys):
    import cv2

    monkeypatch.chdir(folder)
    assert main(["demo", *FILM, "--out", "shown"]) == 2
    assert "shown/click_here.png" in capsys.readouterr().err
    assert cv2.imread("shown/click_here.png").shape == (120, 160, 3)


def test_without_rich_the_download_says_what_to_do(monkeypatch, capsys):
    monkeypatch.delitem(sys.modules, "sam_pt_ros.weights.download", raising=False)
    monkeypatch.delattr("sam_pt_ros.weights.download", raising=False)
    for module in ("rich", "rich.console", "rich.progress"):
        monkeypatch.setitem(sys.modules, module, None)
    assert main(["download", "--list"]) == 2
    assert "run `pip install rich`" in capsys.readouterr().err


def test_without_ros_it_imports_and_says_what_to_do(tmp_path):
    script = """
        import sys
        sys.modules["rclpy"] = None
        from sam_pt_ros.cli import main
        sys.exit(main(["demo"]))
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)],
        cwd=SOURCE,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 2 and done.stdout == ""
    assert done.stderr.count("\n") == 1
    assert "rclpy" in done.stderr and "make demo" in done.stderr
