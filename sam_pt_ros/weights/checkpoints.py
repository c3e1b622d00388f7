"""Published checkpoints: what they are, where they are stored, and their verification."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sam_pt_ros.errors import UserError
from sam_pt_ros.options import did_you_mean

DIRECTORY_VARIABLE = "SAM_PT_CHECKPOINT_DIR"
"""Environment variable that names the folder of checkpoints."""


@dataclass(frozen=True)
class Checkpoint:
    """A published checkpoint file.

    Attributes:
        file: file name.
        address: URL at which its authors publish it.
        size: exact size in bytes; None if only ``rough_size`` is known.
        sha256: SHA-256 of the file, 64 hexadecimal digits; None if only ``md5`` or
            ``sha256_start`` is known.
        licence: name of the licence.
        rough_size: rounded size in bytes, as its page shows it; only if ``size`` is None.
        md5: MD5 of the file, 32 hexadecimal digits; only if ``sha256`` is None.
        sha256_start: first hexadecimal digits of the SHA-256; only if neither is known. They
            detect damage, not a forged file.
    """

    file: str
    address: str
    size: int | None
    sha256: str | None
    licence: str
    rough_size: int | None = None
    md5: str | None = None
    sha256_start: str | None = None

    @property
    def algorithm(self) -> str:
        """Hash algorithm that verifies the file: ``sha256`` or ``md5``."""
        return "sha256" if self.md5 is None else "md5"

    @property
    def digest(self) -> str:
        """Expected hash by that algorithm, or its start, in hexadecimal digits."""
        return self.sha256 or self.md5 or self.sha256_start or ""

    def matches(self, found: str) -> bool:
        """Whether a file whose hash is ``found``, in hexadecimal digits, is the published one."""
        return bool(self.digest) and found.startswith(self.digest)

    @property
    def size_text(self) -> str:
        """The size, as shown to people."""
        if self.size is not None:
            return f"{self.size:,} bytes"
        return f"about {format_bytes(self.rough_size)}" if self.rough_size else "unknown size"

    @property
    def commercial(self) -> bool:
        """Whether the licence allows commercial use."""
        return "-NC" not in self.licence


_STATE_KEYS = ("model", "model_state_dict", "state_dict")  # of a state dict among other things

HASH_NAMES = {"sha256": "SHA-256", "md5": "MD5"}
"""Names of the hash algorithms in messages."""

_META = "https://dl.fbaipublicfiles.com/segment_anything/"
_TAPNET = "https://storage.googleapis.com/dm-tapnet/"
_HQ_SAM = "https://huggingface.co/lkeab/hq-sam/resolve/main/"
_TORCHVISION = "https://download.pytorch.org/models/"
_MOBILE_SAM = (
    "https://raw.githubusercontent.com/ChaoningZhang/MobileSAM/"
    "f706ad9c4eb7f219c00d9050e46328518ffb65d2/weights/"
)

CHECKPOINTS: dict[str, Checkpoint] = {
    # Size and hash from the model's page on Hugging Face (revision
    # bf55ea50d4390e1820a267f131cd6587240fb2c5); several public projects pin the same hash.
    "cotracker3_online": Checkpoint(
        "scaled_online.pth",
        "https://huggingface.co/facebook/cotracker3/resolve/main/scaled_online.pth",
        101_695_610,
        "205d34789f19699d64b22cf93f9b697f15f28d4025240e31532e504109837218",
        "CC BY-NC 4.0",
    ),
    # The authors publish no hashes. Five or more public projects pin each of these; two or more
    # list its size. The licence is stated in the authors' README since July 2026.
    "bootstapir_online": Checkpoint(
        "causal_bootstapir_checkpoint.pt",
        _TAPNET + "bootstap/causal_bootstapir_checkpoint.pt",
        218_887_028,
        "87c1e752cf5ce56e3e2f7da460aeb4d40fc826d04ef2939bade86a5c7495377f",
        "Apache-2.0",
    ),
    "bootstapir": Checkpoint(
        "bootstapir_checkpoint_v2.pt",
        _TAPNET + "bootstap/bootstapir_checkpoint_v2.pt",
        218_886_140,
        "8493c7a69e02c85b9382fbb3c7b8b539b36bc08ede744b9e99feb739a0129f4b",
        "Apache-2.0",
    ),
    "tapir": Checkpoint(
        "tapir_checkpoint_panning.pt",
        _TAPNET + "tapir_checkpoint_panning.pt",
        124_348_474,
        "628611c656b3bd65d4a70fbf5526b62afe82d1b085ce6044685287fb78509daa",
        "Apache-2.0",
    ),
    # Size as its page shows it; MD5 listed by the authors of SAM-PT.
    "tapnet": Checkpoint(
        "tapnet_checkpoint.npy",
        _TAPNET + "checkpoint.npy",
        None,
        None,
        "Apache-2.0",
        rough_size=33_600_000,
        md5="b8a1ad6eab94ce53be3ce870ed829552",
    ),
    # The authors' page on Hugging Face names the file and its rounded size. SAM-PT lists the MD5.
    # PIPS++ has no entry: its weights are published only within an archive.
    "pips": Checkpoint(
        "model-000200000.pth",
        "https://huggingface.co/aharley/pips/resolve/main/model-000200000.pth",
        None,
        None,
        "MIT",
        rough_size=344_000_000,
        md5="9f34c4cd5d6f54cb11e1911841ac702c",
    ),
    # Hashes pinned by micro_sam and by an extension of 3D Slicer. The authors publish none, but
    # the file names end in the first digits of the MD5. Sizes from the lists of several projects.
    "sam_vit_h": Checkpoint(
        "sam_vit_h_4b8939.pth",
        _META + "sam_vit_h_4b8939.pth",
        2_564_550_879,
        "a7bf3b02f3ebf1267aba913ff637d9a2d5c33d3173bb679e46d9f338c26f262e",
        "Apache-2.0",
    ),
    "sam_vit_l": Checkpoint(
        "sam_vit_l_0b3195.pth",
        _META + "sam_vit_l_0b3195.pth",
        1_249_524_607,
        "3adcc4315b642a4d2101128f611684e8734c41232a17c648ed1693702a49a622",
        "Apache-2.0",
    ),
    "sam_vit_b": Checkpoint(
        "sam_vit_b_01ec64.pth",
        _META + "sam_vit_b_01ec64.pth",
        375_042_383,
        "ec2df62732614e57411cdcf32a23ffdf28910380d03139ee0f4fcbe91eb8c912",
        "Apache-2.0",
    ),
    # Pinned by micro_sam and open-edge-platform/model_api; two projects list this size and commit.
    "mobile_sam": Checkpoint(
        "mobile_sam.pt",
        _MOBILE_SAM + "mobile_sam.pt",
        40_728_226,
        "6dbb90523a35330fedd7f1d3dfc66f995213d81b29a5ca8108dbcdd4e37d6c2f",
        "Apache-2.0",
    ),
    # Pinned by refiners and open-edge-platform/model_api; several projects list this size.
    "hq_sam_vit_h": Checkpoint(
        "sam_hq_vit_h.pth",
        _HQ_SAM + "sam_hq_vit_h.pth",
        2_570_940_653,
        "a7ac14a085326d9fa6199c8c698c4f0e7280afdbb974d2c4660ec60877b45e35",
        "Apache-2.0",
    ),
    # No SHA-256 and no exact size of these two was found. The authors of SAM-PT and IOPaint list
    # these MD5s.
    "hq_sam_vit_l": Checkpoint(
        "sam_hq_vit_l.pth",
        _HQ_SAM + "sam_hq_vit_l.pth",
        None,
        None,
        "Apache-2.0",
        rough_size=1_250_000_000,
        md5="08947267966e4264fb39523eccc33f86",
    ),
    "hq_sam_vit_b": Checkpoint(
        "sam_hq_vit_b.pth",
        _HQ_SAM + "sam_hq_vit_b.pth",
        None,
        None,
        "Apache-2.0",
        rough_size=379_000_000,
        md5="c6b8953247bcfdc8bb8ef91e36a6cacc",
    ),
    # Pinned by open-edge-platform/model_api and another project; no exact size was found.
    "hq_sam_vit_tiny": Checkpoint(
        "sam_hq_vit_tiny.pth",
        _HQ_SAM + "sam_hq_vit_tiny.pth",
        None,
        "0f32c075ccdd870ae54db2f7630e7a0878ede5a2b06d05d6fe02c65a82fb7196",
        "Apache-2.0",
        rough_size=42_500_000,
    ),
    # RAFT, as torchvision publishes it: V1 are the authors' files under other names (C_T_V1:
    # raft-things and raft-small), V2 was trained anew. The file names end in the first digits of
    # the SHA-256. Several public projects pin the whole one of the two with an exact size, and one
    # that of C_T_V2. The other sizes are those that torchvision documents. The licence is that of
    # the code; the weights have none of their own, and their data sets have terms of their own.
    "raft_large_c_t_v1": Checkpoint(
        "raft_large_C_T_V1-22a6c225.pth",
        _TORCHVISION + "raft_large_C_T_V1-22a6c225.pth",
        None,
        None,
        "BSD-3-Clause",
        rough_size=21_100_000,
        sha256_start="22a6c225",
    ),
    "raft_large_c_t_skht_v1": Checkpoint(
        "raft_large_C_T_SKHT_V1-0b8c9e55.pth",
        _TORCHVISION + "raft_large_C_T_SKHT_V1-0b8c9e55.pth",
        None,
        None,
        "BSD-3-Clause",
        rough_size=21_100_000,
        sha256_start="0b8c9e55",
    ),
    "raft_large_c_t_skht_k_v1": Checkpoint(
        "raft_large_C_T_SKHT_K_V1-4a6a5039.pth",
        _TORCHVISION + "raft_large_C_T_SKHT_K_V1-4a6a5039.pth",
        None,
        None,
        "BSD-3-Clause",
        rough_size=21_100_000,
        sha256_start="4a6a5039",
    ),
    "raft_large_c_t_v2": Checkpoint(
        "raft_large_C_T_V2-1bb1363a.pth",
        _TORCHVISION + "raft_large_C_T_V2-1bb1363a.pth",
        None,
        "1bb1363a43b40f8dea96c530217a7e8b1804ffc77506058db2ec0afa428ad4f6",
        "BSD-3-Clause",
        rough_size=21_100_000,
    ),
    "raft_large_c_t_skht_v2": Checkpoint(
        "raft_large_C_T_SKHT_V2-ff5fadd5.pth",
        _TORCHVISION + "raft_large_C_T_SKHT_V2-ff5fadd5.pth",
        21_106_607,
        "ff5fadd56d26b40647388883af1547351ea17868b765c05b27231e72dd16a322",
        "BSD-3-Clause",
    ),
    "raft_large_c_t_skht_k_v2": Checkpoint(
        "raft_large_C_T_SKHT_K_V2-b5c70766.pth",
        _TORCHVISION + "raft_large_C_T_SKHT_K_V2-b5c70766.pth",
        None,
        None,
        "BSD-3-Clause",
        rough_size=21_100_000,
        sha256_start="b5c70766",
    ),
    "raft_small_c_t_v1": Checkpoint(
        "raft_small_C_T_V1-ad48884c.pth",
        _TORCHVISION + "raft_small_C_T_V1-ad48884c.pth",
        None,
        None,
        "BSD-3-Clause",
        rough_size=4_010_000,
        sha256_start="ad48884c",
    ),
    "raft_small_c_t_v2": Checkpoint(
        "raft_small_C_T_V2-01064c6d.pth",
        _TORCHVISION + "raft_small_C_T_V2-01064c6d.pth",
        4_006_189,
        "01064c6dba73b0fc9fc8edf772248560a00a3acfd62ac6677e9eeebad9680e27",
        "BSD-3-Clause",
    ),
}
"""Published checkpoints by name."""


def format_bytes(number: int) -> str:
    """A number of bytes with three digits and a decimal unit, such as 40.7 MB."""
    value = float(number)
    for unit in ("bytes", "kB", "MB"):
        if value < 999.5:
            return f"{value:.3g} {unit}"
        value /= 1000
    return f"{value:.3g} GB"


def known_checkpoint(name: str) -> Checkpoint:
    """The published checkpoint of that name; UserError if there is none."""
    if name not in CHECKPOINTS:
        raise UserError(f"unknown checkpoint '{name}'{did_you_mean(name, CHECKPOINTS)}")
    return CHECKPOINTS[name]


def checkpoint_directory() -> Path:
    """The folder of checkpoints: ``$SAM_PT_CHECKPOINT_DIR``, or one in the user's cache."""
    given = os.environ.get(DIRECTORY_VARIABLE)
    if given:
        return Path(given).expanduser()
    cache = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(cache).expanduser() / "sam_pt_ros" / "checkpoints"


def find_checkpoint(asked: str, sha256: str = "") -> Path:
    """Find a checkpoint file and verify its hash.

    Args:
        asked: a key of ``CHECKPOINTS``, whose published hash the file must have, or the path of
            a file.
        sha256: expected hash of a file given by its path, in hexadecimal digits; empty: not
            checked. It is ignored for a published checkpoint.

    Raises:
        UserError: there is no such name or file, or the hash differs.
    """
    known = CHECKPOINTS.get(asked)
    path = Path(asked).expanduser() if known is None else checkpoint_directory() / known.file
    if not path.is_file():
        raise UserError(_missing(asked, path, known))
    if known is not None and known.sha256 is None:
        _check_record(path)
    if known is None and not sha256:
        return path
    wanted = sha256.lower() if known is None else known.digest
    algorithm = "sha256" if known is None else known.algorithm
    found = file_digest(path, algorithm)
    if not (found == wanted if known is None else known.matches(found)):
        raise UserError(
            f"{path}: the {HASH_NAMES[algorithm]} is {found}, expected {wanted}: "
            + _remedy(asked, path, known)
        )
    return path


def record_sha256(path: Path) -> None:
    """Record the SHA-256 of a file for which none is published, as ``<file>.sha256``.

    The record has the format of ``sha256sum``. From then on :func:`find_checkpoint` refuses any
    other content of the file.
    """
    record = _record_of(path)
    part = record.with_name(record.name + ".part")
    part.write_text(f"{file_sha256(path)}  {path.name}\n")
    os.replace(part, record)


def _record_of(path: Path) -> Path:
    """The file in which the SHA-256 of a checkpoint is recorded."""
    return path.with_name(path.name + ".sha256")


def _check_record(path: Path) -> None:
    """UserError if a file differs from its recorded SHA-256, if there is a record."""
    record = _record_of(path)
    try:
        recorded = record.read_text(encoding="utf-8", errors="replace").partition(" ")[0].strip()
    except FileNotFoundError:
        return  # the file was placed there by hand
    except OSError as error:
        raise UserError(f"{record}: cannot be read ({error.strerror})") from error
    if (found := file_sha256(path)) != recorded:
        raise UserError(
            f"{path}: the SHA-256 is {found}, but was '{recorded}' when the file was downloaded; "
            f"if you replaced the file on purpose, remove {record.name} beside it"
        )


def _remedy(asked: str, path: Path, known: Checkpoint | None) -> str:
    if known is None:
        return "this is a different file; check 'checkpoint_sha256'"
    cut = known.size is not None and path.stat().st_size < known.size
    what = "the file is incomplete" if cut else "this is not the published file"
    return f"{what}; run `sam-pt download {asked}`, or download it again from {known.address}"


def _missing(asked: str, path: Path, known: Checkpoint | None) -> str:
    if known is not None:
        if checkpoint_directory().is_file():
            return (
                f"{DIRECTORY_VARIABLE} names the file {checkpoint_directory()}; set it to the "
                "folder that contains the file"
            )
        return (
            f"the checkpoint '{asked}' is missing: run `sam-pt download {asked}`, or download "
            f"{known.address} ({known.size_text}, {known.licence}) to {path}, or set "
            f"{DIRECTORY_VARIABLE} to its folder"
        )
    if path.is_dir():
        return f"the checkpoint {path} is a folder; give the path of a file"
    if path.name == asked and not path.suffix:
        return f"unknown checkpoint '{asked}'{did_you_mean(asked, CHECKPOINTS)}"
    return (
        f"the checkpoint {path.absolute()} does not exist; give the path of a file, or one of "
        f"the names {', '.join(CHECKPOINTS)} for a file in {checkpoint_directory()}"
    )


def file_sha256(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal digits; UserError if it cannot be read."""
    return file_digest(path, "sha256")


def file_digest(path: Path, algorithm: str) -> str:
    """The hash of a file, in hexadecimal digits.

    Args:
        path: the file.
        algorithm: a key of ``HASH_NAMES``.

    Raises:
        UserError: the file cannot be read.
    """
    # MD5 only detects damage here, which systems that forbid it for security still allow.
    digest = hashlib.new(algorithm, usedforsecurity=False)
    try:
        with path.open("rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from error
    return digest.hexdigest()


def read_state_dict(path: Path) -> dict[str, Any]:
    """Read the tensors of a checkpoint by name, on the CPU. Nothing in the file is executed.

    The file holds the state dict itself or a dictionary with it under the key ``model``,
    ``model_state_dict`` or ``state_dict``.

    Raises:
        UserError: the file cannot be read, or is not a checkpoint.
    """
    import torch

    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror or error})") from error
    except Exception as error:  # PyTorch may raise anything for a damaged file
        # PyTorch's own message suggests a way of loading that executes code in the file.
        raise UserError(
            f"{path}: not a PyTorch checkpoint, or damaged, or it contains more than tensors "
            f"({path.stat().st_size:,} bytes)"
        ) from error
    for key in _STATE_KEYS:
        if isinstance(content, dict) and isinstance(content.get(key), dict):
            content = content[key]
            break
    if not isinstance(content, dict) or not all(
        isinstance(name, str) and isinstance(value, torch.Tensor)
        for name, value in content.items()
    ):
        raise UserError(f"{path}: not a state dict: it must map names to tensors")
    return content
