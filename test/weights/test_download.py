"""`sam-pt download`, against a real server on this machine that misbehaves in every known way."""

from __future__ import annotations

import fcntl
import hashlib
import http.client
import io
import os
import random
import socket
import ssl
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("rich", reason="rich is not installed")

from rich.console import Console

from sam_pt_ros.cli import main
from sam_pt_ros.errors import UserError
from sam_pt_ros.weights import checkpoints
from sam_pt_ros.weights import download as module
from sam_pt_ros.weights.checkpoints import Checkpoint, find_checkpoint
from sam_pt_ros.weights.download import download

CONTENT = random.Random(0).randbytes(300_000)
HALF = len(CONTENT) // 2
SHA256 = hashlib.sha256(CONTENT).hexdigest()


class Server(ThreadingHTTPServer):
    """Offers CONTENT as /tiny.pth.

    Attributes:
        content: what it offers.
        ranges: whether it heeds the header Range.
        status: what it answers to everything; 0: what is right.
        cuts: after how many bytes it cuts the connection, one for each answer to come.
        wrong_range: whether a part that it sends starts elsewhere than asked.
        lengths: whether it says how long its answers are.
        redirect: where it sends everybody; empty: nowhere.
        asked: the Range of every request so far; empty: none.
        sent: bytes of every answer so far.
        during: called once, in the midst of an answer.
    """

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.content = CONTENT
        self.ranges = True
        self.status = 0
        self.cuts: list[int] = []
        self.wrong_range = False
        self.lengths = True
        self.redirect = ""
        self.asked: list[str] = []
        self.sent: list[int] = []
        self.during: Any = None

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/tiny.pth"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        server = self.server
        asked = self.headers.get("Range", "")
        server.asked.append(asked)
        start = int(asked[len("bytes=") : -1]) if asked and server.ranges else 0
        if server.redirect:
            self.send_response(302)
            self.send_header("Location", server.redirect)
            self.end_headers()
        elif server.status or (start and start >= len(server.content)):
            self.send_error(server.status or 416)
        else:
            self._send(start)

    def _send(self, start: int) -> None:
        server = self.server
        begin = start + 7 if start and server.wrong_range else start
        body = server.content[begin:]
        self.send_response(206 if start else 200)
        if start:
            last = len(server.content) - 1
            self.send_header("Content-Range", f"bytes {begin}-{last}/{last + 1}")
        if server.lengths:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if server.cuts:
            body = body[: server.cuts.pop(0)]
        server.sent.append(len(body))
        self.wfile.write(body[: len(body) // 2])
        if server.during is not None:
            server.during()
            server.during = None
        self.wfile.write(body[len(body) // 2 :])

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def folder(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of checkpoints, which is not there yet; `tiny` is the only published one."""
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("SAM_PT_CHECKPOINT_DIR", str(tmp_path / "deep" / "checkpoints"))
    monkeypatch.setattr(checkpoints, "CHECKPOINTS", published := {})
    monkeypatch.setattr(module, "CHECKPOINTS", published)
    publish(server.address)
    return tmp_path / "deep" / "checkpoints"


def publish(
    address: str, name: str = "tiny", size: int | None = len(CONTENT), licence: str = "MIT"
) -> None:
    checkpoints.CHECKPOINTS[name] = Checkpoint(f"{name}.pth", address, size, SHA256, licence)


def get(**options: Any) -> str:
    """Download `tiny` to where it belongs; what was said."""
    said = io.StringIO()
    options.setdefault("pauses", (0.0, 0.0, 0.0))
    path = download("tiny", console=Console(file=said), **options)
    assert path.read_bytes() == CONTENT
    assert not path.with_name("tiny.pth.part").exists()
    return said.getvalue()


def fail(**options: Any) -> str:
    """Fail to download `tiny`; what was said. No file has its name."""
    with pytest.raises(UserError) as error:
        get(**options)
    assert "\n" not in str(error.value)
    return str(error.value)


def part_of(folder: Path, content: bytes) -> Path:
    folder.mkdir(parents=True)
    part = folder / "tiny.pth.part"
    part.write_bytes(content)
    return part


def test_a_file_is_downloaded_to_where_it_is_looked_for(folder: Path, server: Server) -> None:
    assert f"tiny is downloaded and verified: {folder / 'tiny.pth'}" in get()
    assert server.asked == [""]
    assert find_checkpoint("tiny") == folder / "tiny.pth"


def test_nothing_has_the_file_s_name_before_it_is_verified(
    folder: Path, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[list[str]] = []

    def look() -> None:
        seen.append(sorted(path.name for path in folder.iterdir()))

    def verify(path: Path, algorithm: str) -> str:
        look()
        return checkpoints.file_digest(path, algorithm)

    server.during = look
    monkeypatch.setattr(module, "file_digest", verify)
    get()
    assert seen == [["tiny.pth.part"], ["tiny.pth.part"]]


def test_what_is_there_is_not_downloaded_again(folder: Path, server: Server) -> None:
    get()
    assert f"tiny is already downloaded: {folder / 'tiny.pth'}" in get()
    assert len(server.asked) == 1


def test_a_damaged_file_is_downloaded_anew(folder: Path, server: Server) -> None:
    folder.mkdir(parents=True)
    (folder / "tiny.pth").write_bytes(CONTENT[:-1])
    assert "is not the published file; downloading it again" in get()


def test_a_part_is_gone_on_with(folder: Path, server: Server) -> None:
    part_of(folder, CONTENT[:HALF])
    assert "resuming after 150 kB" in get()
    assert (server.asked, server.sent) == ([f"bytes={HALF}-"], [len(CONTENT) - HALF])


def test_a_whole_part_is_only_verified(folder: Path, server: Server) -> None:
    part_of(folder, CONTENT)
    get()
    assert server.asked == []


def test_a_server_that_ignores_ranges_sends_all_of_it(folder: Path, server: Server) -> None:
    server.ranges = False
    part_of(folder, CONTENT[:HALF])
    get()
    assert (server.asked, server.sent) == ([f"bytes={HALF}-"], [len(CONTENT)])


def test_a_part_from_elsewhere_in_the_file_is_not_taken(folder: Path, server: Server) -> None:
    server.wrong_range = True
    part_of(folder, CONTENT[:HALF])
    get()
    assert server.asked == [f"bytes={HALF}-", ""]


def test_a_part_that_is_too_long_is_dropped(folder: Path, server: Server) -> None:
    part_of(folder, CONTENT + b"x")
    get()
    assert server.asked == [""]


def test_a_part_beyond_the_server_s_end_is_dropped(folder: Path, server: Server) -> None:
    publish(server.address, size=None)
    part_of(folder, CONTENT + b"x")
    get()
    assert server.asked == [f"bytes={len(CONTENT) + 1}-", ""]


@pytest.mark.parametrize("size", [None, len(CONTENT)])
def test_a_whole_part_is_not_downloaded_again(
    folder: Path, server: Server, size: int | None
) -> None:
    publish(server.address, size=size)
    part_of(folder, CONTENT)
    assert "is downloaded and verified" in get()
    assert server.asked == []


def test_the_answer_416_to_a_whole_request_is_an_error(folder: Path, server: Server) -> None:
    server.status = 416
    assert "HTTP 416" in fail()
    assert server.asked == [""]


def test_where_no_sha256_is_published_that_of_the_download_is_recorded(
    folder: Path, server: Server
) -> None:
    """In the form of sha256sum; a file that was changed since, MD5 or not, is not taken."""
    publish(server.address)
    get()
    record = folder / "tiny.pth.sha256"
    assert not record.exists(), "one is published"
    (folder / "tiny.pth").unlink()
    md5 = hashlib.md5(CONTENT).hexdigest()
    known = Checkpoint("tiny.pth", server.address, None, None, "MIT", len(CONTENT), md5)
    checkpoints.CHECKPOINTS["tiny"] = known
    get()
    assert record.read_text() == f"{SHA256}  tiny.pth\n"
    assert find_checkpoint("tiny") == folder / "tiny.pth"
    record.write_text(f"{SHA256[::-1]}  tiny.pth\n")
    with pytest.raises(UserError, match=f"is {SHA256}, but was '{SHA256[::-1]}' when"):
        find_checkpoint("tiny")
    record.unlink()
    assert find_checkpoint("tiny") == folder / "tiny.pth"


def test_the_start_of_a_sha256_verifies_a_download(folder: Path, server: Server) -> None:
    for start, fits in ((SHA256[:8], True), (SHA256[1:9], False)):
        checkpoints.CHECKPOINTS["tiny"] = Checkpoint(
            "tiny.pth", server.address, None, None, "MIT", len(CONTENT), sha256_start=start
        )
        if fits:
            get()
            assert (folder / "tiny.pth.sha256").read_text() == f"{SHA256}  tiny.pth\n"
            assert get().count("already downloaded") == 1
            (folder / "tiny.pth").unlink()
            (folder / "tiny.pth.sha256").unlink()
        else:
            assert f"is {SHA256}, expected {start}" in fail()
    assert list(folder.iterdir()) == []


def test_a_damaged_part_is_found_and_removed(folder: Path, server: Server) -> None:
    damaged = bytes(HALF)
    part = part_of(folder, damaged)
    said = fail()
    assert hashlib.sha256(damaged + CONTENT[HALF:]).hexdigest() in said and SHA256 in said
    assert "again" in said
    assert list(folder.iterdir()) == [] and not part.exists()
    get()


def test_other_content_is_refused(folder: Path, server: Server) -> None:
    server.content = CONTENT[::-1]
    said = fail()
    assert f"is {hashlib.sha256(CONTENT[::-1]).hexdigest()}, expected {SHA256}" in said
    assert list(folder.iterdir()) == []


def test_content_of_another_size_is_refused_at_once(folder: Path, server: Server) -> None:
    server.content = CONTENT + b"x"
    assert "offers 300,001 bytes, expected 300,000" in fail()
    assert list(folder.iterdir()) == []


def test_more_than_the_size_is_not_written(folder: Path, server: Server) -> None:
    server.content, server.lengths = CONTENT * 3, False
    assert "sent more than 300,000 bytes" in fail()
    assert list(folder.iterdir()) == []


def test_without_a_known_size_the_hash_decides(folder: Path, server: Server) -> None:
    publish(server.address, size=None)
    get()
    (folder / "tiny.pth").unlink()
    server.content = CONTENT + b"x"
    assert f"expected {SHA256}" in fail()


def test_a_broken_connection_is_taken_up_again(folder: Path, server: Server) -> None:
    server.cuts = [100_000, 50_000]
    said = get()
    assert said.count("retrying") == 2 and "200,000 bytes are missing" in said
    assert server.asked == ["", "bytes=100000-", "bytes=150000-"]
    assert sum(server.sent) == len(CONTENT)


def test_a_connection_that_breaks_too_often_leaves_the_part(folder: Path, server: Server) -> None:
    server.cuts = [1000, 1000, 1000, 1000]
    said = fail()
    part = folder / "tiny.pth.part"
    assert f"4 kB of 300 kB are kept in {part}: run `sam-pt download tiny` again" in said
    assert part.read_bytes() == CONTENT[:4000] and not (folder / "tiny.pth").exists()
    get()
    assert server.asked[-1] == "bytes=4000-"


def test_a_server_that_goes_away_counts_as_a_broken_connection(
    folder: Path, server: Server
) -> None:
    server.cuts = [1000]

    def leave() -> None:
        server.status = 503

    server.during = leave
    assert "(HTTP 503 Service Unavailable); 1 kB of 300 kB are kept" in fail()


def test_a_server_that_falls_silent_is_not_waited_for(folder: Path, server: Server) -> None:
    silence = threading.Event()
    server.during = silence.wait
    try:
        assert "timed out" in fail(pauses=(), timeout=0.2)
    finally:
        silence.set()


@pytest.mark.parametrize("status", [403, 404, 500])
def test_an_error_of_the_server_says_how_to_get_the_file(
    folder: Path, server: Server, status: int
) -> None:
    server.status = status
    said = fail()
    assert f"cannot download {server.address} (HTTP {status} " in said
    assert f"get tiny.pth (300,000 bytes, SHA-256 {SHA256})" in said
    assert f"put it at {folder / 'tiny.pth'}" in said
    assert len(server.asked) == 1 and list(folder.iterdir()) == []


def test_offline_it_says_how_to_get_the_file(folder: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))  # taken, and nobody listens
        publish(f"http://127.0.0.1:{free.getsockname()[1]}/tiny.pth")
        said = fail()
    assert "(Connection refused)" in said
    assert f"SHA-256 {SHA256}" in said and f"put it at {folder / 'tiny.pth'}" in said


def test_a_name_that_nobody_knows_says_how_to_get_the_file(folder: Path) -> None:
    publish("https://nowhere.invalid/tiny.pth")
    said = fail()
    assert "cannot download https://nowhere.invalid/tiny.pth" in said
    assert f"put it at {folder / 'tiny.pth'}" in said


def test_a_proxy_that_is_not_there_says_how_to_get_the_file(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    assert f"put it at {folder / 'tiny.pth'}" in fail()


def test_certificates_are_verified(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    original, contexts = urllib.request.build_opener, []

    def build(*handlers: Any) -> urllib.request.OpenerDirector:
        opener = original(*handlers)
        (https,) = [h for h in opener.handlers if isinstance(h, urllib.request.HTTPSHandler)]
        contexts.append(https._context)
        return opener

    monkeypatch.setattr(urllib.request, "build_opener", build)
    get()
    (context,) = contexts
    assert context.verify_mode == ssl.CERT_REQUIRED and context.check_hostname


def test_redirections_are_followed_but_not_from_https_to_http() -> None:
    handler = module._SafeRedirects()

    def redirect(old: str, new: str) -> Any:
        request = urllib.request.Request(old)
        return handler.redirect_request(
            request, io.BytesIO(), 302, "Found", http.client.HTTPMessage(), new
        )

    assert redirect("https://a.org/x", "https://b.org/y").full_url == "https://b.org/y"
    assert redirect("http://a.org/x", "http://b.org/y").full_url == "http://b.org/y"
    for new in ("http://b.org/y", "ftp://b.org/y"):
        with pytest.raises(urllib.error.URLError, match="is not https"):
            redirect("https://a.org/x", new)


def test_a_redirection_keeps_the_range(folder: Path, server: Server) -> None:
    other = Server()
    thread = threading.Thread(target=other.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    server.redirect = other.address
    part_of(folder, CONTENT[:HALF])
    try:
        get()
    finally:
        other.shutdown()
        thread.join()
        other.server_close()
    assert other.asked == [f"bytes={HALF}-"]


def test_only_addresses_of_the_web_are_read(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "tiny.pth").write_bytes(CONTENT)
    publish((tmp_path / "tiny.pth").as_uri())
    assert "not an http or https address" in fail()


def test_too_little_room_is_said_before(
    folder: Path, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    part_of(folder, CONTENT[:HALF])
    usage = type("Usage", (), {"free": len(CONTENT) - HALF - 1})
    monkeypatch.setattr(module.shutil, "disk_usage", lambda _: usage)
    assert "needs 150 kB, but only 150 kB are free" in fail()
    assert server.asked == []
    usage.free += 1
    get()


def test_a_full_disk_keeps_what_arrived(folder: Path) -> None:
    script = f"""
import resource, sys
from sam_pt_ros.weights import checkpoints, download
download.CHECKPOINTS["tiny"] = checkpoints.CHECKPOINTS["tiny"] = checkpoints.Checkpoint(
    "tiny.pth", {checkpoints.CHECKPOINTS["tiny"].address!r}, {len(CONTENT)}, {SHA256!r}, "MIT")
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
from sam_pt_ros.cli import main
sys.exit(main(["download", "tiny"]))
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 2, done.stderr
    assert done.stderr.count("\n") == 1 and "File too large" in done.stderr
    assert (folder / "tiny.pth.part").read_bytes() == CONTENT[:100_000]
    get()


def test_a_folder_that_cannot_be_made_is_named(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "deep").write_text("a file")
    assert f"{folder}: cannot create the folder (Not a directory)" in fail()


@pytest.mark.parametrize("name", ["tiny.pth.part", "tiny.pth"])
def test_what_is_in_the_way_is_named(folder: Path, name: str) -> None:
    (folder / name).mkdir(parents=True)
    assert str(folder / name) in fail()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_cannot_be_written_to_is_named(folder: Path) -> None:
    folder.mkdir(parents=True, mode=0o500)
    assert "cannot be written (Permission denied)" in fail()


def test_two_at_once_do_not_write_the_same_file(folder: Path, server: Server) -> None:
    said: list[str] = []
    server.during = lambda: said.append(fail())
    get()
    assert len(said) == 1 and "another process is downloading tiny to" in said[0]
    assert len(server.asked) == 1


@pytest.mark.parametrize("verified", [True, False])
def test_a_part_that_another_process_finished_before_the_lock_is_not_written_to(
    folder: Path, server: Server, monkeypatch: pytest.MonkeyPatch, verified: bool
) -> None:
    part = part_of(folder, CONTENT[:HALF])
    original, others = fcntl.flock, [True]

    def flock(file: Any, operation: int) -> None:
        # As if the other process finished between our opening the part and locking it.
        original(file, operation)
        if others and others.pop():
            part.unlink()
            if verified:
                (folder / "tiny.pth").write_bytes(CONTENT)

    monkeypatch.setattr(module.fcntl, "flock", flock)
    assert ("already downloaded" in get()) == verified
    assert server.asked == ([] if verified else [""])


def test_an_interruption_keeps_the_part(
    folder: Path, server: Server, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    original, reads = module._read, [0]

    def read(response: Any) -> bytes:
        reads[0] += 1
        if reads[0] == 3:
            raise KeyboardInterrupt
        return original(response)

    with monkeypatch.context() as patch:
        patch.setattr(module, "_read", read)
        assert main(["download", "tiny"]) == 130
    kept = (folder / "tiny.pth.part").stat().st_size
    assert kept == 2 * module.BLOCK
    get()
    assert server.asked == ["", f"bytes={kept}-"]


def test_cli_downloads_the_named_ones_once(folder: Path, server: Server, capsys: Any) -> None:
    publish(server.address, "other")
    assert main(["download", "tiny", "tiny"]) == 0
    assert len(server.asked) == 1
    assert [path.name for path in folder.iterdir()] == ["tiny.pth"]
    assert "SAM_PT_CHECKPOINT_DIR" not in capsys.readouterr().out


def test_cli_downloads_to_another_folder(folder: Path, tmp_path: Path, capsys: Any) -> None:
    assert main(["download", "tiny", "--directory", str(tmp_path / "[here]")]) == 0
    assert (tmp_path / "[here]" / "tiny.pth").read_bytes() == CONTENT
    assert not folder.exists()
    assert f"set SAM_PT_CHECKPOINT_DIR={tmp_path / '[here]'}" in capsys.readouterr().out


def test_cli_downloads_all_and_says_how_much_first(
    folder: Path, server: Server, capsys: Any
) -> None:
    publish(server.address, "other")
    assert main(["download", "--all"]) == 0
    out = capsys.readouterr().out
    assert out.startswith(f"downloading 2 files (600 kB) to {folder}\n")
    assert sorted(path.name for path in folder.iterdir()) == ["other.pth", "tiny.pth"]


def test_cli_shows_a_licence_that_forbids_commercial_use(
    folder: Path, server: Server, capsys: Any
) -> None:
    assert main(["download", "tiny"]) == 0
    assert "forbids" not in capsys.readouterr().out
    publish(server.address, "tracker", licence="CC BY-NC 4.0")
    assert main(["download", "tracker"]) == 0
    out = capsys.readouterr().out
    assert "the licence of tracker (CC BY-NC 4.0) forbids commercial use" in out


def test_cli_lists_which_there_are_and_which_are_present(
    folder: Path, server: Server, capsys: Any
) -> None:
    for name in ("whole", "cut", "begun", "rough"):
        publish(server.address, name)
    checkpoints.CHECKPOINTS["rough"] = Checkpoint("r", "", None, SHA256, "BSD", 2_000_000)
    part_of(folder, CONTENT[:HALF]).rename(folder / "begun.pth.part")
    (folder / "whole.pth").write_bytes(CONTENT)
    (folder / "cut.pth").write_bytes(CONTENT[:HALF])
    assert main(["download", "--list"]) == 0
    out = capsys.readouterr().out
    assert [" ".join(line.split()) for line in out.splitlines()] == [
        "NAME FILE SIZE LICENCE PRESENT",
        "tiny tiny.pth 300 kB MIT no",
        "whole whole.pth 300 kB MIT yes",
        "cut cut.pth 300 kB MIT damaged (wrong size)",
        "begun begun.pth 300 kB MIT partial (150 kB)",
        "rough r ~2 MB BSD no",
        "",
        f"Folder: {folder}",
    ]
    assert server.asked == []


def test_cli_lists_another_folder(folder: Path, tmp_path: Path, capsys: Any) -> None:
    assert main(["download", "--list", "--directory", str(tmp_path)]) == 0
    assert capsys.readouterr().out.endswith(f"Folder: {tmp_path}\n")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["tiny", "tinny"], "unknown checkpoint 'tinny'; did you mean 'tiny'?"),
        ([], "give names, --all or --list"),
        (["tiny", "--list"], "give names, --all or --list"),
    ],
)
def test_cli_refuses_in_one_line_before_anything_is_downloaded(
    folder: Path, server: Server, capsys: Any, arguments: list[str], says: str
) -> None:
    assert main(["download", *arguments]) == 2
    error = capsys.readouterr().err
    assert error.startswith("sam-pt: ") and error.count("\n") == 1 and says in error
    assert server.asked == [] and not folder.exists()


def test_cli_says_in_one_line_that_it_is_offline(
    folder: Path, server: Server, capsys: Any
) -> None:
    server.status = 404
    assert main(["download", "tiny"]) == 2
    error = capsys.readouterr().err
    assert error.startswith("sam-pt: tiny: ") and error.count("\n") == 1
    assert f"put it at {folder / 'tiny.pth'}" in error


def test_it_needs_neither_ros_nor_torch() -> None:
    script = """
import sys
for name in ("rclpy", "torch", "numpy", "cv2"):
    sys.modules[name] = None
import sam_pt_ros.weights.download
"""
    subprocess.run([sys.executable, "-c", script], check=True, timeout=300)


def test_the_page_on_models_lists_what_there_is() -> None:
    page = (Path(__file__).resolve().parents[2] / "docs/models.md").read_text(encoding="utf-8")
    for name, known in checkpoints.CHECKPOINTS.items():
        size = checkpoints.format_bytes(known.size or known.rough_size or 0)
        assert f"| `{name}` | `{known.file}` | {size} | {known.licence}" in page
