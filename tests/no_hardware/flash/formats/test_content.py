"""Images that do not look like a disk are refused or need an option, with a message that names them."""

from __future__ import annotations

import hashlib
import random
import shutil
import struct
import subprocess
from typing import TYPE_CHECKING

import pytest

from hil.errors import ImageError
from hil.flash.formats.open import open_disk_image
from hil.flash.formats.raw import RawImage
from hil.sim.dut.image import build_image
from tests.support.image_makers import COMPRESSORS, android_sparse

if TYPE_CHECKING:
    from pathlib import Path

MIB = 1 << 20
NOISE = random.Random(9).randbytes(2 * MIB)  # noqa: S311 - no secret


def with_bytes(at: int, data: bytes, size_bytes: int = MIB) -> bytes:
    """A file that has nothing but these bytes."""
    return (bytes(at) + data).ljust(size_bytes, b"\0")


def test_open_disk_image_reports_an_image_removed_during_the_check(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "some.img"
    build_image(path, "removed", 4 * MIB)
    monkeypatch.setattr(RawImage, "check", lambda _image, _progress=None: path.unlink())

    with pytest.raises(ImageError, match="cannot be read"):
        open_disk_image(path)


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
        (b"MZ".ljust(56, b"\0") + b"ARM\x64" + bytes(4000), "Linux kernel"),
        (with_bytes(0x24, b"\x18\x28\x6f\x01", 4096), "Linux kernel"),
        (b"IMAGEWTY" + bytes(4000), "Allwinner"),
        (b"RKFW" + bytes(4000), "Rockchip"),
        (b"UF2\nWQ]\x9e" + bytes(504), "UF2"),
        (b"UBI#\x01" + bytes(4000), "UBI"),
        (b"\xd0\x0d\xfe\xed" + bytes(4000), "FIT"),
        (b"070701" + b"0" * 104 + b"\0" * 4000, "cpio"),
        (b"%PDF-1.7\n" + bytes(4000), "PDF"),
    ],
)
@pytest.mark.parametrize("packed", [None, "gzip", "zstd"])
def test_check_is_disk_refuses_foreign_content_even_with_force(
    data: bytes, words: str, packed: str | None, tmp_path: Path
) -> None:
    said = refused(tmp_path, COMPRESSORS[packed](data) if packed else data, force=True, file_system=True)

    assert words in said or (data == b"" and "holds no bytes" in said)


def test_check_is_disk_asks_for_an_image_in_place_of_a_text_file(tmp_path: Path) -> None:
    assert "try: give an image: a text file is not written" in refused(tmp_path, b"my notes\n", force=True)


@pytest.mark.parametrize(
    ("at", "magic", "words"),
    [
        (1080, b"\x53\xef", "ext4"),
        (0, b"hsqs", "SquashFS"),
        (0, b"sqsh", "SquashFS"),
        (32, b"NXSB", "APFS"),
        (4096, b"gDla", "super"),
        (0, b"XFSB", "XFS"),
        (65600, b"_BHRfS_M", "Btrfs"),
        (32769, b"BEA01", "UDF"),
        (3, b"NTFS    ".ljust(507) + b"\x55\xaa", "NTFS"),
        (3, b"EXFAT   ".ljust(507) + b"\x55\xaa", "exFAT"),
        (1024, b"\xe2\xe1\xf5\xe0", "EROFS"),
        (0, b"LUKS\xba\xbe", "LUKS"),
    ],
)
def test_check_is_disk_refuses_a_file_system_without_the_option(
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
def test_check_is_disk_names_a_real_file_system(make: tuple[str, ...], tmp_path: Path) -> None:
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
def test_check_is_disk_needs_force_for_unknown_content(data: bytes, words: str, tmp_path: Path) -> None:
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
def test_check_is_disk_accepts_partition_tables_and_boot_sectors(
    at: int, magic: bytes, tmp_path: Path
) -> None:
    data = NOISE[:at] + magic + NOISE[at + len(magic) :]

    assert [refused(tmp_path, one) for one in (data, COMPRESSORS["xz"](data))] == ["", ""]


def fat(partitions: bytes = b"") -> bytes:
    """A FAT volume's boot sector; its partition table is empty as mkfs.fat leaves it, or as given."""
    parameters = struct.pack("<HBHBHHB", 512, 4, 4, 2, 512, 40960, 0xF8)
    sector = (b"\xeb\x3c\x90mkfs.fat" + parameters).ljust(446, b"\0") + partitions
    return (sector.ljust(510, b"\0") + b"\x55\xaa").ljust(MIB, b"\0")


@pytest.mark.parametrize("packed", [None, "gzip"])
def test_check_is_disk_needs_force_for_a_fat_volume(packed: str | None, tmp_path: Path) -> None:
    data = COMPRESSORS[packed](fat()) if packed else fat()

    said = refused(tmp_path, data)

    assert "a lone FAT volume, without a partition table" in said
    assert "--force" in said
    assert refused(tmp_path, data, force=True) == refused(tmp_path, data, file_system=True) == ""


def test_check_is_disk_accepts_a_fat_boot_sector_with_a_partition(tmp_path: Path) -> None:
    partition = struct.pack("<B3xB3xLL", 0x80, 0x0C, 2048, 65536)

    assert refused(tmp_path, fat(partition)) == ""


def disk(end: bytes = b"") -> bytes:
    return with_bytes(510, b"\x55\xaa") + end.ljust(512, b"\0") * bool(end)


def test_check_is_disk_needs_force_for_a_fixed_vhd(tmp_path: Path) -> None:
    said = refused(tmp_path, disk(b"conectix"))

    assert "a fixed VHD" in said
    assert "--force" in said
    assert refused(tmp_path, disk(b"conectix"), force=True) == refused(tmp_path, disk()) == ""


def test_compressed_image_remarks_a_fixed_vhd(tmp_path: Path) -> None:
    (tmp_path / "disk.vhd.gz").write_bytes(COMPRESSORS["gzip"](disk(b"conectix")))
    image = open_disk_image(tmp_path / "disk.vhd.gz")

    for _ in range(2):
        list(image.extents())

    assert [remark for remark in image.remarks if "a fixed VHD" in remark] == image.remarks != []


def test_check_is_disk_detects_an_apple_disk_image_by_its_footer(tmp_path: Path) -> None:
    assert "(DMG)" in refused(tmp_path, NOISE[:MIB] + b"koly".ljust(512, b"\0"), force=True)


@pytest.mark.skipif(shutil.which("qemu-img") is None, reason="qemu-img is not installed")
@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["vpc", "-o", "subformat=fixed,force_size"], "a fixed VHD"),
        (["vpc"], "VHD"),
        (["vhdx"], "VHDX"),
        (["vdi"], "VDI"),
        (["qcow2"], "qcow2"),
        (["vmdk"], "VMDK"),
        (["parallels"], "Parallels"),
        (["qed"], "QED"),
    ],
    ids=lambda value: value if isinstance(value, str) else "-".join(value),
)
def test_check_is_disk_names_formats_of_qemu_img(options: list[str], words: str, tmp_path: Path) -> None:
    (tmp_path / "disk.img").write_bytes(disk())
    made = tmp_path / "made.img"
    command = ["qemu-img", "convert", "-f", "raw", "-O", *options, tmp_path / "disk.img", made]
    subprocess.run(command, check=True, capture_output=True)

    with pytest.raises(ImageError, match=words):
        open_disk_image(made)


def test_check_is_disk_accepts_a_disk_in_an_android_sparse_image(tmp_path: Path) -> None:
    first = with_bytes(510, b"\x55\xaa", 4096)

    assert refused(tmp_path, android_sparse([first, None, NOISE[:4096]])) == ""
    assert "no MBR" in refused(tmp_path, android_sparse([None, NOISE[:4096]]))


def test_check_is_disk_accepts_the_simulators_image(tmp_path: Path) -> None:
    build_image(tmp_path / "built.img", "demo-1")

    open_disk_image(tmp_path / "built.img")
