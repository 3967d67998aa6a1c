"""A block map found beside an image is used only if it is verified to be that image's."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from hil.errors import ImageError
from hil.flash.formats.bmap import parse_bmap, read_bmap
from hil.flash.formats.bmap_image import MappedImage
from hil.flash.formats.open import find_bmap, open_image
from tests.support.image_makers import BLOCK, COMPRESSORS, bmap_of, content, laid_out, write_blocks

if TYPE_CHECKING:
    from pathlib import Path

BLOCKS: list[bytes | None] = [b"\x01" * BLOCK, None, b"\x02" * BLOCK, None]
RAW = b"".join(block or bytes(BLOCK) for block in BLOCKS)


@pytest.mark.parametrize(
    ("image", "beside"),
    [
        ("os.img", "os.img.bmap"),
        ("os.img", "os.bmap"),
        ("os.wic.xz", "os.wic.xz.bmap"),
        ("os.wic.xz", "os.wic.bmap"),
        ("os.wic.xz", "os.bmap"),
        ("os-1.2.wic.zst", "os-1.2.bmap"),
        ("image", "image.bmap"),
    ],
)
def test_find_bmap_finds_a_map_by_the_images_name(image: str, beside: str, tmp_path: Path) -> None:
    (tmp_path / beside).touch()

    assert find_bmap(tmp_path / image) == tmp_path / beside


@pytest.mark.parametrize(
    ("image", "beside"),
    [
        ("os.custom.img", "os.bmap"),
        ("os.custom", "os.bmap"),
        ("os-1.2.wic.xz", "os-1.bmap"),
        ("os.img.xz.img", "os.bmap"),
        ("os.img.img", "os.bmap"),
        ("os.bmap", "os.bmap"),
    ],
)
def test_find_bmap_removes_no_other_suffix(image: str, beside: str, tmp_path: Path) -> None:
    (tmp_path / beside).touch()

    assert find_bmap(tmp_path / image) is None


@pytest.mark.parametrize("packed", [None, "gzip", "zstd"])
@pytest.mark.parametrize("at", [0, 5, 2 * BLOCK, 3 * BLOCK - 1])
def test_mapped_image_refuses_a_found_map_with_a_wrong_checksum(
    at: int, packed: str | None, tmp_path: Path
) -> None:
    other = bytearray(RAW)
    other[at] ^= 1
    (tmp_path / "os.img").write_bytes(COMPRESSORS[packed](bytes(other)) if packed else other)
    (tmp_path / "os.img.bmap").write_bytes(bmap_of(BLOCKS))
    image = open_image(tmp_path / "os.img")

    with pytest.raises(ImageError, match="do not have the checksum of the map"):
        next(iter(image.extents()))


@pytest.mark.parametrize("packed", [None, "xz", "zstd"])
@pytest.mark.parametrize("at", [BLOCK, 2 * BLOCK - 1, 4 * BLOCK - 1])
def test_mapped_image_refuses_a_found_map_that_omits_data(
    at: int, packed: str | None, tmp_path: Path
) -> None:
    other = bytearray(RAW)
    other[at] = 7
    (tmp_path / "os.img").write_bytes(COMPRESSORS[packed](bytes(other)) if packed else other)
    (tmp_path / "os.img.bmap").write_bytes(bmap_of(BLOCKS))

    with pytest.raises(ImageError, match="would be lost"):
        open_image(tmp_path / "os.img").check()


def test_mapped_image_accepts_a_given_map_that_omits_data(tmp_path: Path) -> None:
    (tmp_path / "os.img").write_bytes(RAW[:BLOCK] + b"?" * BLOCK + RAW[2 * BLOCK :])
    (tmp_path / "given.bmap").write_bytes(bmap_of(BLOCKS))
    image = open_image(tmp_path / "os.img", tmp_path / "given.bmap")
    image.check()

    assert laid_out(image) == RAW


def test_open_image_remarks_a_found_map_without_checksums(tmp_path: Path) -> None:
    (tmp_path / "os.img").write_bytes(RAW[:BLOCK] + b"?" * BLOCK + RAW[2 * BLOCK :])
    (tmp_path / "os.bmap").write_bytes(bmap_of(BLOCKS, "1.2"))
    found, given = open_image(tmp_path / "os.img"), open_image(tmp_path / "os.img", tmp_path / "os.bmap")

    assert content(found) == {0: (tmp_path / "os.img").read_bytes()}
    assert "os.bmap beside os.img was not used" in found.remarks[0]
    assert isinstance(given, MappedImage)


@pytest.mark.parametrize("change", [-BLOCK, -1, 1, BLOCK])
def test_mapped_image_refuses_a_map_for_another_size(change: int, tmp_path: Path) -> None:
    (tmp_path / "os.img").write_bytes(RAW)
    (tmp_path / "os.img.bmap").write_bytes(bmap_of(BLOCKS))
    os.truncate(tmp_path / "os.img", len(RAW) + change)

    with pytest.raises(ImageError, match=r"os\.img is not what its block map os\.img\.bmap describes"):
        open_image(tmp_path / "os.img")


def test_mapped_image_checks_a_found_map_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    image = open_image(write_map_and_image(tmp_path))
    image.check()
    verified: list[int] = []
    monkeypatch.setattr(MappedImage, "_verify", lambda *_: verified.append(1))

    assert (laid_out(image), laid_out(image), verified) == (RAW, RAW, [])


def test_mapped_image_skips_unmapped_holes(tmp_path: Path) -> None:
    far = 8 << 30
    blocks = far // BLOCK
    (tmp_path / "os.img").write_bytes(RAW[:BLOCK])
    os.truncate(tmp_path / "os.img", far)
    own = bmap_of([BLOCKS[0]]).decode()
    text = own.replace(f" {BLOCK} </ImageSize>", f" {far} </ImageSize>").replace(
        " 1 </BlocksCount>", f" {blocks} </BlocksCount>"
    )
    given = text.split("<BmapFileChecksum>")[1].split("<")[0].strip()
    zeroed = text.replace(given, "0" * len(given))
    digest = hashlib.sha256(zeroed.encode()).hexdigest()
    (tmp_path / "os.img.bmap").write_text(zeroed.replace("0" * len(given), digest), "ascii")

    open_image(tmp_path / "os.img").check()


def write_map_and_image(folder: Path) -> Path:
    (folder / "os.img.bmap").write_bytes(bmap_of(BLOCKS))
    return write_blocks(folder / "os.img", BLOCKS)


@pytest.mark.skipif(shutil.which("bmaptool") is None, reason="bmaptool is not installed")
def test_mapped_image_accepts_a_map_by_bmaptool(tmp_path: Path) -> None:
    image = write_blocks(tmp_path / "os.img", BLOCKS)
    subprocess.run(["bmaptool", "-q", "create", "-o", tmp_path / "os.bmap", image], check=True)
    opened = open_image(image)
    opened.check()

    assert isinstance(opened, MappedImage)
    assert (opened.map_label, laid_out(opened)) == ("os.bmap", RAW)


def test_mapped_image_remarks_an_unchecked_signature(tmp_path: Path) -> None:
    head = b"-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA256\n\n"
    tail = b"\n-----BEGIN PGP SIGNATURE-----\n\niQ==\n-----END PGP SIGNATURE-----\n"
    write_map_and_image(tmp_path)
    (tmp_path / "os.img.bmap").write_bytes(head + bmap_of(BLOCKS) + tail)

    image = open_image(tmp_path / "os.img")
    image.check()

    assert "its signature was not checked" in image.remarks[0]


@pytest.mark.skipif(shutil.which("gpg") is None, reason="gpg is not installed")
def test_read_bmap_reads_a_map_signed_by_gpg(tmp_path: Path) -> None:
    home = tmp_path / "gpg"
    home.mkdir(mode=0o700)
    gpg = ["gpg", "--batch", "--homedir", str(home), "--pinentry-mode", "loopback", "--passphrase", ""]
    subprocess.run([*gpg, "--quick-gen-key", "bench@localhost", "ed25519"], check=True, capture_output=True)
    image = write_map_and_image(tmp_path)
    plain = (tmp_path / "os.img.bmap").read_bytes()
    signed = subprocess.run([*gpg, "--clearsign"], input=plain, check=True, capture_output=True).stdout
    (tmp_path / "os.img.bmap").write_bytes(signed)
    subprocess.run(["gpgconf", "--homedir", str(home), "--kill", "all"], check=True)

    opened = open_image(image)
    opened.check()

    assert "its signature was not checked" in opened.remarks[0]
    assert laid_out(opened) == RAW


def test_read_bmap_refuses_a_truncated_signed_map(tmp_path: Path) -> None:
    (tmp_path / "os.bmap").write_bytes(b"-----BEGIN PGP SIGNED MESSAGE-----\n\n" + bmap_of(BLOCKS))

    with pytest.raises(ImageError, match="cut short"):
        read_bmap(tmp_path / "os.bmap")


def test_read_bmap_of_a_huge_map_needs_little_memory(tmp_path: Path) -> None:
    line = b"<Range>1</Range>\n"
    (tmp_path / "os.bmap").write_bytes(b'<bmap version="1.2"><BlockMap>' + line * (60_000_000 // len(line)))
    code = (
        "import sys, resource; from pathlib import Path; from hil.errors import ImageError\n"
        "from hil.flash.formats.bmap import read_bmap\n"
        "resource.setrlimit(resource.RLIMIT_AS, (300 << 20, 300 << 20))\n"
        "try:\n    read_bmap(Path(sys.argv[1]))\n"
        "except ImageError as error:\n    print(error)\n"
    )
    said = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "os.bmap")], capture_output=True, text=True, check=True
    ).stdout

    assert "far larger than any block map" in said


@pytest.mark.thorough
@pytest.mark.parametrize(
    "filler", ["<a/>" * 500_000, "<a>" * 500_000, "<Range>1</Range>" * 100_000, "<BlockMap/>" * 100_000]
)
def test_read_bmap_refuses_foreign_xml_with_little_memory(filler: str) -> None:
    with pytest.raises((ValueError, SyntaxError)):
        parse_bmap(f'<bmap version="1.2">{filler}</bmap>'.encode())
