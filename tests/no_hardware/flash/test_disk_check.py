"""What does not look like a disk is not written, or asked about, and the message says what it looks like."""

from __future__ import annotations

import hashlib
import random
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest
from image_makers import COMPRESSORS, android_sparse

from hil.errors import ImageError
from hil.flash.opening import open_disk_image
from hil.sim.image import build_image

if TYPE_CHECKING:
    from pathlib import Path

MIB = 1 << 20
NOISE = random.Random(9).randbytes(2 * MIB)  # noqa: S311 - no secret


def with_bytes(at: int, data: bytes, size_bytes: int = MIB) -> bytes:
    """A file that has nothing but these bytes."""
    return (bytes(at) + data).ljust(size_bytes, b"\0")


def refused(folder: Path, data: bytes, *, force: bool = False, file_system: bool = False) -> str:
    """Why an image is refused; empty: it is not."""
    path = folder / "some.img"
    path.write_bytes(data)
    try:
        open_disk_image(path, force=force, file_system=file_system)
    except ImageError as error:
        return str(error)
    return ""


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"<html>\r\n<head><title>404 Not Found</title></head>", "a web page"),
        (b'<!DOCTYPE HTML PUBLIC "-//IETF//DTD HTML 2.0//EN">\n<html>', "a web page"),
        (b"<!doctype html><html lang=en><title>Sign in</title></html>", "a web page"),
        (b"\xef\xbb\xbf\n <HTML>", "a web page"),
        (b"<html><title>" + bytes([0xE9]) + b"</title></html>", "a web page"),
        ("<html>Anmelden</html>".encode("utf-16"), "a web page"),
        (b"<html>" + b"long page " * 20_000, "a web page"),
        (b"404: Not Found", "text, which begins '404: Not Found'"),
        ("Zugriff verweigert: größer".encode(), "text, which begins"),
        (b"AccessDenied\n" * 100_000, "text, which begins 'AccessDenied'"),
        (b'{"message":"Not Found","status":"404"}', "JSON"),
        (b"[1, 2]", "JSON"),
        (b"# Disk DescriptorFile\nversion=1\n", "VMDK descriptor"),
        (b"# Disk DescriptorFile\nversion=1\n".ljust(65536, b"\0"), "VMDK descriptor"),  # as qemu-img pads it
        (b"\xc7\x71".ljust(4096, b"x"), "cpio"),
        (b"KDMV\x01\0\0\0" + bytes(1000), "VMDK"),
        (b"QFI\xfb\0\0\0\x03" + bytes(1000), "qcow2"),
        (f"{hashlib.sha256(b'').hexdigest()}  disk.img\n".encode(), "checksum"),
        (f"{hashlib.md5(b'', usedforsecurity=False).hexdigest()} *disk.img\n".encode(), "checksum"),
        (f"SHA256 (disk.img) = {hashlib.sha256(b'').hexdigest()}\n".encode(), "checksum"),
        (b"-----BEGIN PGP SIGNATURE-----\n\niQ", "OpenPGP"),
        (b"#!/bin/sh\nexit\n", "script"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:1\n", "Git LFS"),
        (b"\x01\x02\x03\x04\x05\x06", "a file of 6 bytes"),
        (bytes(511), "a file of 511 bytes"),
        (b"", "empty"),
        (b"\x7fELF\x02\x01" + bytes(4000), "ELF"),
        (b"\x27\x05\x19\x56" + bytes(4000), "uImage"),
        (with_bytes(510, b"\x55\xaa\0\0HdrS"), "Linux kernel"),
        (b"%PDF-1.7\n" + bytes(4000), "PDF"),
    ],
)
@pytest.mark.parametrize("packed", [None, "gzip", "zstd"])
def test_what_is_plainly_something_else_is_refused_also_by_force(
    data: bytes, words: str, packed: str | None, tmp_path: Path
) -> None:
    said = refused(tmp_path, COMPRESSORS[packed](data) if packed else data, force=True, file_system=True)

    assert words in said or (data == b"" and "holds no bytes" in said)


@pytest.mark.parametrize(
    ("at", "magic", "words"),
    [
        (1080, b"\x53\xef", "ext4"),
        (0, b"hsqs", "SquashFS"),
        (0, b"XFSB", "XFS"),
        (65600, b"_BHRfS_M", "Btrfs"),
        (32769, b"BEA01", "UDF"),
        (3, b"NTFS    ".ljust(507) + b"\x55\xaa", "NTFS"),
        (3, b"EXFAT   ".ljust(507) + b"\x55\xaa", "exFAT"),
        (1024, b"\xe2\xe1\xf5\xe0", "EROFS"),
        (0, b"LUKS\xba\xbe", "LUKS"),
    ],
)
def test_a_lone_file_system_is_refused_unless_it_is_meant(
    at: int, magic: bytes, words: str, tmp_path: Path
) -> None:
    data = with_bytes(at, magic)

    assert words in refused(tmp_path, data)
    assert "--file-system" in refused(tmp_path, data, force=True)
    assert refused(tmp_path, data, file_system=True) == ""


@pytest.mark.parametrize(
    "make",
    [("mkfs.ext4", "-q", "-F"), ("mkfs.xfs", "-q"), ("mkfs.btrfs", "-q"), ("mksquashfs", "/etc/apt")],
    ids=lambda make: make[0],
)
def test_a_real_file_system_is_named(make: tuple[str, ...], tmp_path: Path) -> None:
    if shutil.which(make[0]) is None:
        pytest.skip(f"{make[0]} is not installed")
    path = tmp_path / "root.img"
    if make[0] != "mksquashfs":
        with path.open("wb") as file:
            file.truncate(400 * MIB)
    subprocess.run([*make, str(path)], check=True, capture_output=True)

    with pytest.raises(ImageError, match=r"a lone .* volume"):
        open_disk_image(path, force=True)


@pytest.mark.parametrize(
    ("data", "words"), [(NOISE, "no MBR, no GPT, no ISO 9660"), (bytes(2 * MIB), "nothing but zeros")]
)
def test_what_is_not_known_to_be_a_disk_is_asked_about(data: bytes, words: str, tmp_path: Path) -> None:
    assert words in refused(tmp_path, data)
    assert "--force" in refused(tmp_path, data)
    assert refused(tmp_path, data, force=True) == ""


@pytest.mark.parametrize(
    ("at", "magic"),
    [
        (510, b"\x55\xaa"),
        (512, b"EFI PART"),
        (4096, b"EFI PART"),
        (32769, b"CD001"),
        (8196, b"eGON.BT0"),
        (1024, b"\xd1\x00\x20\x40"),
        (32768, b"\x3b\x8c\xdc\xfc"),
    ],
)
def test_a_disk_is_known_by_its_table_or_boot_sector(at: int, magic: bytes, tmp_path: Path) -> None:
    data = NOISE[:at] + magic + NOISE[at + len(magic) :]

    assert [refused(tmp_path, one) for one in (data, COMPRESSORS["xz"](data))] == ["", ""]


def test_a_disk_in_an_android_sparse_image_is_known(tmp_path: Path) -> None:
    first = with_bytes(510, b"\x55\xaa", 4096)

    assert refused(tmp_path, android_sparse([first, None, NOISE[:4096]])) == ""
    assert "no MBR" in refused(tmp_path, android_sparse([None, NOISE[:4096]]))


def test_the_simulators_image_is_a_disk(tmp_path: Path) -> None:
    build_image(tmp_path / "built.img", "demo-1")

    open_disk_image(tmp_path / "built.img")
