"""Pipes, devices and other special files are refused at once as images and as block maps."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from hil.errors import ImageError
from hil.flash.formats.bmap import parse_bmap, read_bmap
from hil.flash.formats.open import open_image
from hil.flash.formats.stream import ImageFile
from hil.regular_file import open_regular


def test_open_image_refuses_special_files(no_file: Path) -> None:
    with pytest.raises(ImageError, match="no image file"):
        open_image(no_file)


def test_read_bmap_refuses_special_files(no_file: Path) -> None:
    with pytest.raises(ImageError, match="cannot be read"):
        read_bmap(no_file)


def test_open_image_and_read_bmap_refuse_an_endless_device() -> None:
    with pytest.raises(ImageError, match="no image file"):
        open_image("/dev/zero")
    with pytest.raises(ImageError, match="it is a device"):
        read_bmap(Path("/dev/zero"))


def test_image_file_open_refuses_a_named_pipe_at_once(tmp_path: Path) -> None:
    (tmp_path / "disk.img").write_bytes(bytes(512))
    file = ImageFile(tmp_path / "disk.img")
    (tmp_path / "disk.img").unlink()
    os.mkfifo(tmp_path / "disk.img")

    with pytest.raises(ImageError, match="it is a named pipe"), file.open():
        pass


def test_open_regular_reads_a_file(tmp_path: Path) -> None:
    (tmp_path / "it").write_bytes(b"content")

    with open_regular(tmp_path / "it") as file:
        assert file.read() == b"content"


def test_read_bmap_of_a_clearsigned_flood_needs_little_memory() -> None:
    lines = b"- a\n" * (4 << 20)
    before = _most_bytes()

    with pytest.raises((ValueError, SyntaxError)):
        parse_bmap(
            b"-----BEGIN PGP SIGNED MESSAGE-----\n\n" + lines[: 15 << 20] + b"-----BEGIN PGP SIGNATURE-----\n"
        )

    assert _most_bytes() - before < 120 << 20


def _most_bytes() -> int:
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.split("VmHWM:")[1].split()[0]) * 1024
