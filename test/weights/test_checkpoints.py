"""Files of weights: found, verified and read without running anything in them."""

from __future__ import annotations

import hashlib
import pickle
import re
from pathlib import Path

import pytest

from sam_pt_ros.errors import UserError
from sam_pt_ros.weights import checkpoints
from sam_pt_ros.weights.checkpoints import (
    CHECKPOINTS,
    Checkpoint,
    checkpoint_directory,
    file_sha256,
    find_checkpoint,
    format_bytes,
    read_state_dict,
)

CONTENT = b"weights" * 1000


@pytest.fixture
def known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A published checkpoint `tiny`, and the path that its file must have."""
    monkeypatch.setenv("SAM_PT_CHECKPOINT_DIR", str(tmp_path / "checkpoints"))
    (tmp_path / "checkpoints").mkdir()
    digest = hashlib.sha256(CONTENT).hexdigest()
    tiny = Checkpoint("tiny.pth", "https://example.org/tiny.pth", len(CONTENT), digest, "MIT")
    monkeypatch.setitem(checkpoints.CHECKPOINTS, "tiny", tiny)
    return tmp_path / "checkpoints" / "tiny.pth"


def test_published_checkpoints_say_all_that_is_needed() -> None:
    for checkpoint in CHECKPOINTS.values():
        assert checkpoint.address.startswith("https://")
        published = checkpoint.address.rpartition("/")[2]
        # A name that says nothing by itself, such as checkpoint.npy, is preceded by the model's.
        assert checkpoint.file == published or checkpoint.file.endswith("_" + published)
        length = {"sha256": 64, "md5": 32}[checkpoint.algorithm]
        length = 8 if checkpoint.sha256_start else length
        assert re.fullmatch(f"[0-9a-f]{{{length}}}", checkpoint.digest)
        known = (checkpoint.sha256, checkpoint.md5, checkpoint.sha256_start)
        assert sum(each is not None for each in known) == 1
        assert (checkpoint.size is None) != (checkpoint.rough_size is None)
        assert (checkpoint.size or checkpoint.rough_size or 0) > 1_000_000 and checkpoint.licence
    assert len({checkpoint.digest for checkpoint in CHECKPOINTS.values()}) == len(CHECKPOINTS)


def test_only_cotracker_s_weights_are_not_for_commercial_use() -> None:
    assert [name for name, known in CHECKPOINTS.items() if not known.commercial] == [
        "cotracker3_online"
    ]


def test_sizes_are_said_as_exactly_as_they_are_known() -> None:
    assert [format_bytes(n) for n in (0, 999, 40_728_226, 999_700_000, 2_564_550_879)] == [
        *("0 bytes", "999 bytes", "40.7 MB", "1 GB", "2.56 GB"),
    ]
    assert CHECKPOINTS["mobile_sam"].size_text == "40,728,226 bytes"
    assert CHECKPOINTS["hq_sam_vit_b"].size_text == "about 379 MB"


def test_the_folder_is_the_variable_s_or_in_the_user_s_cache(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("SAM_PT_CHECKPOINT_DIR", str(tmp_path))
    assert checkpoint_directory() == tmp_path
    monkeypatch.delenv("SAM_PT_CHECKPOINT_DIR")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert checkpoint_directory() == tmp_path / "sam_pt_ros" / "checkpoints"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert checkpoint_directory() == Path.home() / ".cache" / "sam_pt_ros" / "checkpoints"


def test_a_published_file_is_found_by_its_name(known: Path) -> None:
    known.write_bytes(CONTENT)
    assert find_checkpoint("tiny") == known


def test_a_missing_one_is_said_to_be_where_it_can_be_had(known: Path) -> None:
    with pytest.raises(UserError) as error:
        find_checkpoint("tiny")
    said = str(error.value)
    assert "run `sam-pt download tiny`" in said
    assert "or download https://example.org/tiny.pth (7,000 bytes, MIT)" in said
    assert str(known) in said and "SAM_PT_CHECKPOINT_DIR" in said


def test_a_folder_that_is_a_file_is_named(known: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    known.write_bytes(CONTENT)
    monkeypatch.setenv("SAM_PT_CHECKPOINT_DIR", str(known))
    with pytest.raises(UserError, match=r"names the file .*tiny\.pth; set it to the folder"):
        find_checkpoint("tiny")


@pytest.mark.parametrize(
    ("content", "says"),
    [(CONTENT[:-1], "the file is incomplete"), (CONTENT[::-1], "this is not the published file")],
)
def test_a_file_with_another_hash_is_refused(known: Path, content: bytes, says: str) -> None:
    known.write_bytes(content)
    says = f"expected {CHECKPOINTS['tiny'].sha256}.*{says}; run `sam-pt download tiny`.*again"
    with pytest.raises(UserError, match=says):
        find_checkpoint("tiny")


def test_a_file_without_a_published_sha256_is_verified_by_its_md5(
    known: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    md5 = hashlib.md5(CONTENT).hexdigest()
    tiny = Checkpoint("tiny.pth", "https://example.org/tiny.pth", None, None, "MIT", 7000, md5)
    monkeypatch.setitem(checkpoints.CHECKPOINTS, "tiny", tiny)
    with pytest.raises(UserError, match=r"\(about 7 kB, MIT\)"):
        find_checkpoint("tiny")
    known.write_bytes(CONTENT)
    assert find_checkpoint("tiny") == known
    known.write_bytes(CONTENT[:-1])
    with pytest.raises(
        UserError, match=f"the MD5 is .*expected {md5}: this is not the published file"
    ):
        find_checkpoint("tiny")


def test_a_file_of_whose_sha256_only_the_start_is_published_is_verified_by_that(
    known: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = hashlib.sha256(CONTENT).hexdigest()[:8]
    address = "https://example.org/tiny.pth"
    tiny = Checkpoint("tiny.pth", address, None, None, "MIT", 7000, sha256_start=start)
    monkeypatch.setitem(checkpoints.CHECKPOINTS, "tiny", tiny)
    known.write_bytes(CONTENT)
    assert find_checkpoint("tiny") == known
    known.write_bytes(CONTENT[:-1])
    with pytest.raises(UserError, match=f"SHA-256 is .*expected {start}: this is not the publ"):
        find_checkpoint("tiny")


def test_a_checkpoint_without_any_hash_is_never_the_published_one() -> None:
    assert not Checkpoint("tiny.pth", "", 7000, None, "MIT").matches("00" * 32)


def test_a_file_given_by_its_path_may_be_any_or_a_certain_one(tmp_path: Path) -> None:
    path = tmp_path / "own.pth"
    path.write_bytes(CONTENT)
    assert find_checkpoint(str(path)) == path
    assert find_checkpoint(str(path), file_sha256(path).upper()) == path
    with pytest.raises(UserError, match=r"expected 00.*check 'checkpoint_sha256'"):
        find_checkpoint(str(path), "00")
    with pytest.raises(UserError, match="does not exist; give the path"):
        find_checkpoint(str(tmp_path / "other.pth"))
    with pytest.raises(UserError, match="is a folder"):
        find_checkpoint(str(tmp_path))
    with pytest.raises(UserError, match="unknown checkpoint 'cotracker3'; did you mean 'cotrack"):
        find_checkpoint("cotracker3")


def test_a_state_dict_may_be_bare_or_wrapped(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed (make torch)")
    state = {"a": torch.ones(2)}
    for content in (
        state,
        {"model": state},
        {"model": state, "epoch": 3},
        {"model_state_dict": state, "optimizer_state_dict": {"state": {0: torch.ones(1)}}},
        {"state_dict": state, "epoch": 3},
    ):
        torch.save(content, tmp_path / "file.pth")
        found = read_state_dict(tmp_path / "file.pth")
        assert list(found) == ["a"] and torch.equal(found["a"], state["a"])


class Malicious:
    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (Path("executed"),)


def test_nothing_in_a_file_is_executed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed (make torch)")
    monkeypatch.chdir(tmp_path)
    torch.save({"a": Malicious()}, tmp_path / "one.pth")
    (tmp_path / "two.pth").write_bytes(pickle.dumps(Malicious()))
    for name in ("one.pth", "two.pth"):
        with pytest.raises(UserError, match="it contains more than tensors") as error:
            read_state_dict(tmp_path / name)
        assert "weights_only" not in str(error.value)
    assert not (tmp_path / "executed").exists()


@pytest.mark.parametrize(
    "content", [b"", b"<html>not found</html>", CONTENT, b"PK\x03\x04rest", b"a", b"\x80\x02e."]
)
def test_what_is_no_checkpoint_is_refused(tmp_path: Path, content: bytes) -> None:
    pytest.importorskip("torch", reason="PyTorch is not installed (make torch)")
    path = tmp_path / "file.pth"
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"file\.pth: not a PyTorch checkpoint"):
        read_state_dict(path)


def test_what_holds_no_tensors_by_name_is_refused(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed (make torch)")
    for content in ([torch.ones(1)], {"a": 1}, {3: torch.ones(1)}, torch.ones(1)):
        torch.save(content, tmp_path / "file.pth")
        with pytest.raises(UserError, match="it must map names to tensors"):
            read_state_dict(tmp_path / "file.pth")
