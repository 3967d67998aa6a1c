"""Archives that gzip, bzip2, xz, zstd and lz4 accept are accepted, and those that they refuse are refused."""

from __future__ import annotations

import random
import resource
import shutil
import subprocess
import sys
import zlib
from typing import TYPE_CHECKING

import pytest

from hil.errors import ImageError
from hil.flash.formats import compression
from hil.flash.formats.compression import available_bytes, zstd_decoder_bytes
from hil.flash.formats.open import open_image
from tests.support.image_makers import COMPRESSORS, content

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

DATA = random.Random(3).randbytes(5000) + bytes(200_000)  # noqa: S311 - no secret
TOOLS = ("gzip", "bzip2", "xz", "zstd", "lz4")
TRAILER = b'{ "supported_devices": ["acme,box"] }\nFWx0\x12\x34\x56\x78'


def packed(tool: str, *options: str, data: bytes = DATA) -> bytes:
    if shutil.which(tool) is None:
        return COMPRESSORS[tool](data)
    return subprocess.run([tool, "-c", *options], input=data, capture_output=True, check=True).stdout


def tool_says(tool: str, whole: bytes) -> tuple[bool, bytes]:
    """Return whether a tool accepts an archive, with or without a warning, and what it unpacks."""
    done = subprocess.run([tool, "-dc"], input=whole, capture_output=True, check=False)
    warned = tool == "gzip" and done.returncode == 2  # gzip(1): "if a warning occurs, exit status is 2"
    return done.returncode == 0 or warned, done.stdout


def unpacked(whole: bytes, folder: Path) -> bytes | None:
    """Return what hil unpacks, or None if it refuses the archive."""
    path = folder / "image"
    path.write_bytes(whole)
    try:
        return content(open_image(path))[0]
    except ImageError:
        return None


@pytest.mark.parametrize("tool", TOOLS)
@pytest.mark.parametrize(
    "tail",
    [
        pytest.param(lambda _: TRAILER, id="a vendor's trailer"),
        pytest.param(lambda _: bytes(4), id="four zeros"),
        pytest.param(lambda _: bytes(3), id="three zeros"),
        pytest.param(lambda _: bytes(300_000), id="many zeros"),
        pytest.param(lambda whole: whole, id="a member"),
        pytest.param(lambda whole: bytes(4) + whole, id="zeros, then a member"),
        pytest.param(lambda whole: whole[:1], id="a byte of a member"),
        pytest.param(lambda whole: whole[:9], id="nine bytes of a member"),
        pytest.param(lambda _: b"\x50\x2a\x4d\x18\x03\0\0\0abc", id="a skippable frame"),
        pytest.param(lambda _: b"\x50\x2a\x4d\x18\x03\0\0\0ab", id="a skippable frame that is cut"),
    ],
)
def test_unpacked_stream_accepts_the_tails_that_the_tool_accepts(
    tool: str, tail: Callable[[bytes], bytes], tmp_path: Path
) -> None:
    if shutil.which(tool) is None:
        pytest.skip(f"{tool} is not installed")
    member = packed(tool)
    whole = member + tail(member)
    is_sound, theirs = tool_says(tool, whole)

    assert unpacked(whole, tmp_path) == (theirs if is_sound else None)


@pytest.mark.parametrize("tool", ["gzip", "bzip2"])
def test_unpacked_stream_remarks_an_ignored_tail(tool: str, tmp_path: Path) -> None:
    path = tmp_path / "image"
    path.write_bytes(COMPRESSORS[tool](DATA) + TRAILER)
    image = open_image(path)

    assert content(image) == content(image) == {0: DATA}
    assert len(image.remarks) == 1
    assert f"follows the end of the {tool} archive image" in image.remarks[0]


@pytest.mark.parametrize("tool", ["gzip", "bzip2"])
def test_unpacked_stream_reports_a_damaged_member_header(tool: str, tmp_path: Path) -> None:
    member = COMPRESSORS[tool](DATA)

    assert unpacked(member + bytes([member[0], member[1] ^ 1]) + member[2:], tmp_path) is None


@pytest.mark.parametrize("options", [(), ("--long=31",), ("-19", "--long=28"), ("--ultra", "-22")])
def test_unpacked_stream_reads_zstd_windows_of_any_size(options: tuple[str, ...], tmp_path: Path) -> None:
    assert unpacked(packed("zstd", *options), tmp_path) == DATA


def test_unpacked_stream_reports_a_zstd_window_beyond_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compression, "_PROC", tmp_path)
    tmp_path.joinpath("meminfo").write_text("MemTotal: 9 kB\nMemAvailable: 400000 kB\n", "ascii")
    (tmp_path / "image").write_bytes(b"\x28\xb5\x2f\xfd\x00\xa8" + b"\x01\0\0")  # a window of 2 GiB, no size

    with pytest.raises(ImageError, match=r"cannot be unpacked here: its window.* takes 2049 MiB") as caught:
        content(open_image(tmp_path / "image"))

    assert "damaged" not in str(caught.value)


def test_available_bytes_respects_control_groups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inner = tmp_path / "groups" / "night" / "job"
    inner.mkdir(parents=True)
    (inner / "memory.max").write_text("max\n", "ascii")
    (inner.parent / "memory.max").write_text(f"{1 << 30}\n", "ascii")
    (inner.parent / "memory.stat").write_text(f"anon {1 << 29}\nfile 77\n", "ascii")
    (tmp_path / "self").mkdir()
    (tmp_path / "self" / "cgroup").write_text("0::/night/job\n", "ascii")
    (tmp_path / "meminfo").write_text("MemAvailable: 8000000 kB\n", "ascii")
    monkeypatch.setattr(compression, "_PROC", tmp_path)
    monkeypatch.setattr(compression, "_CGROUPS", tmp_path / "groups")

    assert available_bytes() == int(0.75 * (1 << 29))


@pytest.mark.parametrize(
    ("header", "mib"),
    [
        ("28b52ffd 00 58", 3),  # window of 2 MiB
        ("28b52ffd 24 10270000", 1),  # one segment of 16 bytes and a checksum
        ("28b52ffd 60 0010", 1),  # one segment of 4352 bytes
        ("28b52ffd a0 00000040", 1025),  # one segment of 1 GiB
        ("28b52ffd 80 a8 00000001", 17),  # a window of 2 GiB, and 16 MiB in it
    ],
)
def test_zstd_decoder_bytes_reads_the_frame_header(header: str, mib: int) -> None:
    start = bytes.fromhex(header).ljust(18, b"\0")

    assert zstd_decoder_bytes(start) >> 20 == mib


def test_unpacked_stream_reports_a_needed_dictionary(tmp_path: Path) -> None:
    (tmp_path / "image").write_bytes(b"\x28\xb5\x2f\xfd\x21\x07\x10" + bytes(20))

    with pytest.raises(ImageError, match="cannot be unpacked here: it was compressed with a dictionary"):
        content(open_image(tmp_path / "image"))


def test_unpacked_stream_reports_an_unknown_xz_filter(tmp_path: Path) -> None:
    whole = bytearray(packed("xz", "--check=none", "--x86", "--lzma2=preset=0"))
    header_bytes = (whole[12] + 1) * 4
    whole[14] = 0x3F  # the identity of the filter, in a block header whose checksum agrees
    checksum = zlib.crc32(whole[12 : 12 + header_bytes - 4])
    whole[12 + header_bytes - 4 : 12 + header_bytes] = checksum.to_bytes(4, "little")
    (tmp_path / "image").write_bytes(whole)

    with pytest.raises(ImageError, match="cannot be unpacked here: it uses a filter"):
        content(open_image(tmp_path / "image"))


def test_unpacked_stream_reports_an_xz_dictionary_beyond_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compression, "_PROC", tmp_path)
    tmp_path.joinpath("meminfo").write_text("MemAvailable: 400000 kB\n", "ascii")
    whole = bytearray(COMPRESSORS["xz"](DATA))
    header_bytes = (whole[12] + 1) * 4
    whole[16] = 40  # a dictionary of 4 GiB
    checksum = zlib.crc32(whole[12 : 12 + header_bytes - 4])
    whole[12 + header_bytes - 4 : 12 + header_bytes] = checksum.to_bytes(4, "little")
    (tmp_path / "image").write_bytes(whole)

    with pytest.raises(ImageError, match="cannot be unpacked here: its dictionary takes more memory"):
        content(open_image(tmp_path / "image"))


@pytest.mark.parametrize(
    "filler",
    [
        COMPRESSORS["gzip"](b""),
        b"\x50\x2a\x4d\x18\0\0\0\0",
        COMPRESSORS["bzip2"](b""),
        COMPRESSORS["gzip"](b"x"),
        pytest.param(COMPRESSORS["zstd"](b"x"), marks=pytest.mark.thorough),
        pytest.param(COMPRESSORS["xz"](b"x"), marks=pytest.mark.thorough),
    ],
    ids=["gzip", "skippable frames", "bzip2", "gzip of a byte", "zstd of a byte", "xz of a byte"],
)
def test_unpacked_stream_refuses_a_flood_of_tiny_members(filler: bytes, tmp_path: Path) -> None:
    (tmp_path / "image").write_bytes(filler * 100_000)
    code = (
        "import sys, resource; from pathlib import Path; from hil.errors import ImageError\n"
        "from hil.flash.formats.open import open_image\n"
        "resource.setrlimit(resource.RLIMIT_AS, (1 << 29, 1 << 29))\n"
        "try:\n    list(open_image(Path(sys.argv[1])).extents())\n"
        "except ImageError as error:\n    print(error)\n"
    )
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime

    said = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "image")], capture_output=True, text=True, check=True
    ).stdout

    assert "more than 8192 members or frames that hold next to nothing" in said
    assert resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before < 20


def test_unpacked_stream_reads_many_small_members(tmp_path: Path) -> None:
    members = [COMPRESSORS["gzip"](bytes([number % 250]) * 7) for number in range(3000)]

    assert unpacked(b"".join(members), tmp_path) == b"".join(bytes([n % 250]) * 7 for n in range(3000))
