"""Block maps by `bmaptool` on each file system: a flash writes what `bmaptool copy` writes."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

from hil.flash.flash_image import flash_image
from hil.flash.formats.open import open_disk_image, open_image
from hil.flash.progress import NoProgress
from tests.support.disk_bench import StickBench
from tests.support.image_makers import BLOCK, COMPRESSORS, bmap_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from hil.flash.formats.image import Image

MIB = 1 << 20
BOOT_REGION_BYTES = MIB
NOISE = random.Random(11).randbytes(3 * MIB)  # noqa: S311 - no secret
SIZE_BYTES = 6 * MIB + 700
ENTRIES = ((0, 8 * BLOCK), (MIB + BLOCK, MIB), (4 * MIB, 300), (SIZE_BYTES - 700, 700))
"""Where the image has data, as offset and length."""

SUFFIXES = {"gzip": ".gz", "bzip2": ".bz2", "xz": ".xz", "zstd": ".zst", "lz4": ".lz4"}

pytestmark = [
    pytest.mark.skipif(shutil.which("bmaptool") is None, reason="bmaptool is not installed"),
    pytest.mark.skipif(os.geteuid() != 0, reason="loop devices and mounts are for root"),
]


@pytest.fixture
def after() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def permitted(*command: str | Path) -> str:
    """Run a command that a container may not be permitted."""
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    if ran.returncode:
        pytest.skip(f"{command[0]}: {ran.stderr}")
    return ran.stdout.strip()


def folder_on(kind: str, folder: Path, after: ExitStack) -> Path:
    """Return a folder on a file system of a kind; `here`: where the tests are."""
    if kind == "here":
        return folder
    point, file = folder / "mounted", folder / "file-system"
    point.mkdir()
    if kind == "tmpfs":
        permitted("mount", "-t", "tmpfs", "none", point)
    else:
        if shutil.which(f"mkfs.{kind}") is None:
            pytest.skip(f"mkfs.{kind} is not installed")
        with file.open("wb") as made:
            made.truncate(400 * MIB)
        permitted(f"mkfs.{kind}", "-q", file)
        permitted("mount", "-o", "loop", file, point)
    after.callback(subprocess.run, ["umount", point], check=True)
    return point


def sparse_image(path: Path) -> Path:
    """An image with holes, zeros that are stored, a reserved range that was never written, and an odd end."""
    with path.open("wb") as file:
        for offset, length in ENTRIES:
            file.seek(offset)
            file.write(NOISE[:length])
        file.seek(510)
        file.write(b"\x55\xaa")
        file.seek(3 * MIB)
        file.write(bytes(2 * BLOCK))
        file.truncate(SIZE_BYTES)
        os.posix_fallocate(file.fileno(), 5 * MIB, 4 * BLOCK)
        os.fsync(file.fileno())
    return path


def copied_by_bmaptool(image: Path, bmap: Path, folder: Path, after: ExitStack) -> bytes:
    """What a disk of 0xEE holds after `bmaptool copy`."""
    file = folder / "copied.img"
    file.write_bytes(b"\xee" * 8 * MIB)
    node = permitted("losetup", "--find", "--show", file)
    after.callback(subprocess.run, ["losetup", "--detach", node], check=True)
    subprocess.run(
        ["bmaptool", "-q", "copy", "--no-sig-verify", "--bmap", bmap, image, node],
        check=True,
        capture_output=True,
    )
    return file.read_bytes()


def flashed(image: Image, folder: Path) -> bytes:
    """What a stick of 0xEE holds after a flash."""
    (folder / "host").mkdir()
    bench = StickBench(folder / "host", 8 * MIB)
    flash_image(bench.claim, image, NoProgress(), force=False)
    return bench.content()


def check_alike(ours: bytes, theirs: bytes) -> None:
    """See that both hold the same; of the first MiB, what is not mapped is zeros here, and stays there."""
    assert ours[BOOT_REGION_BYTES:] == theirs[BOOT_REGION_BYTES:]
    assert all(
        our in (their, bytes(BLOCK))
        for our, their in (
            (ours[at : at + BLOCK], theirs[at : at + BLOCK]) for at in range(0, BOOT_REGION_BYTES, BLOCK)
        )
    )
    assert ours[: 8 * BLOCK] == theirs[: 8 * BLOCK] != bytes(8 * BLOCK)


FILE_SYSTEMS = [
    "here",
    *(pytest.param(one, marks=pytest.mark.thorough) for one in ("tmpfs", "ext4", "xfs", "btrfs")),
]


@pytest.mark.parametrize("kind", FILE_SYSTEMS)
@pytest.mark.parametrize("options", [(), ("--no-checksum",)], ids=["checksums", "none"])
def test_flash_image_writes_what_bmaptool_copies(
    kind: str, options: tuple[str, ...], tmp_path: Path, after: ExitStack
) -> None:
    folder = folder_on(kind, tmp_path, after)
    image, bmap = sparse_image(folder / "os.img"), folder / "os.img.bmap"
    subprocess.run(["bmaptool", "-q", "create", *options, "-o", bmap, image], check=True)

    ours = flashed(open_disk_image(image, bmap if options else True), tmp_path)

    check_alike(ours, copied_by_bmaptool(image, bmap, tmp_path, after))


@pytest.mark.parametrize(
    ("version", "packed"),
    [
        ("1.2", None),
        ("2.0", "gzip"),
        *(pytest.param(one, None, marks=pytest.mark.thorough) for one in ("1.3", "1.4", "2.0")),
        *(pytest.param("2.0", one, marks=pytest.mark.thorough) for one in SUFFIXES if one != "gzip"),
    ],
)
def test_read_bmap_reads_every_version_as_bmaptool_does(
    version: str, packed: str | None, tmp_path: Path, after: ExitStack
) -> None:
    whole = sparse_image(tmp_path / "raw").read_bytes()
    blocks = [whole[at : at + BLOCK] for at in range(0, len(whole), BLOCK)]
    cut = BLOCK - len(blocks[-1])
    blocks[-1] = blocks[-1].ljust(BLOCK, b"\0")
    bmap, image = tmp_path / "os.bmap", tmp_path / f"os.img{SUFFIXES.get(packed or '', '')}"
    bmap.write_bytes(bmap_of([block if any(block) else None for block in blocks], version, cut=cut))
    image.write_bytes(COMPRESSORS[packed](whole) if packed else whole)

    ours = flashed(open_image(image, bmap), tmp_path)

    check_alike(ours, copied_by_bmaptool(image, bmap, tmp_path, after))
