from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hil.sim.dut.image import IMAGE_SIZE_BYTES, build_image, read_image
from tests.support.dut_bench import MemoryStick, bootable_stick

if TYPE_CHECKING:
    from pathlib import Path

MIB = 1 << 20


def _stick_with(offset: int, data: bytes) -> MemoryStick:
    stick = MemoryStick(bytes(2 * MIB))
    stick.write(offset, data)
    return stick


@pytest.mark.parametrize(
    ("offset", "signature"),
    [(510, b"\x55\xaa"), (512, b"EFI PART"), (32769, b"CD001")],
    ids=["mbr", "gpt", "iso9660"],
)
def test_each_of_three_signatures_makes_a_stick_bootable(offset: int, signature: bytes) -> None:
    stick = _stick_with(offset, signature)

    image = read_image(stick)

    assert image is not None


def test_empty_stick_is_not_bootable() -> None:
    assert read_image(MemoryStick(bytes(2 * MIB))) is None


def test_stick_of_no_size_is_not_bootable() -> None:
    assert read_image(MemoryStick(b"")) is None


def test_signature_at_the_wrong_place_is_not_bootable() -> None:
    assert read_image(_stick_with(511, b"\x55\xaa")) is None


def test_foreign_image_is_identified_by_its_digest_only() -> None:
    stick = _stick_with(510, b"\x55\xaa")

    image = read_image(stick)

    assert image is not None
    assert image.identity == hashlib.sha256(stick.content[:MIB]).hexdigest()[:16]


def test_built_image_is_known_by_its_name_and_digest(tmp_path: Path) -> None:
    stick = bootable_stick(tmp_path, "release-1.2")

    image = read_image(stick)

    assert image is not None
    assert image.identity == f"release-1.2 {hashlib.sha256(stick.content[:MIB]).hexdigest()[:16]}"


def test_build_image_returns_the_identity_that_read_image_finds(tmp_path: Path) -> None:
    built = build_image(tmp_path / "a.img", "demo")

    found = read_image(MemoryStick((tmp_path / "a.img").read_bytes()))

    assert found == built


def test_built_image_takes_less_room_than_its_size(tmp_path: Path) -> None:
    path = tmp_path / "a.img"

    build_image(path, "demo")

    assert path.stat().st_size == IMAGE_SIZE_BYTES
    assert path.stat().st_blocks * 512 < IMAGE_SIZE_BYTES // 4


def test_built_image_replaces_a_longer_file(tmp_path: Path) -> None:
    path = tmp_path / "a.img"
    path.write_bytes(b"x" * (4 * MIB))

    build_image(path, "demo", 2 * MIB)

    assert path.stat().st_size == 2 * MIB


def test_two_names_make_two_payloads(tmp_path: Path) -> None:
    one, other = bootable_stick(tmp_path, "one"), bootable_stick(tmp_path, "other")

    assert one.read(MIB, 4096) != other.read(MIB, 4096)


@pytest.mark.parametrize("name", ["", "two words", "a" * 65, "-dash", "new\nline"])
def test_name_that_would_not_survive_the_console_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match="not an image's name"):
        build_image(tmp_path / "a.img", name)


@pytest.mark.parametrize("size_bytes", [0, MIB, 2 * MIB + 1])
def test_size_without_room_or_of_broken_sectors_is_refused(tmp_path: Path, size_bytes: int) -> None:
    with pytest.raises(ValueError, match="not an image's size"):
        build_image(tmp_path / "a.img", "demo", size_bytes)


@given(st.from_regex(r"\A[A-Za-z0-9][A-Za-z0-9._+-]{0,63}\Z"))
def test_every_allowed_name_is_read_back(tmp_path_factory: pytest.TempPathFactory, name: str) -> None:
    path = tmp_path_factory.mktemp("image") / "a.img"
    build_image(path, name, 2 * MIB)

    image = read_image(MemoryStick(path.read_bytes()))

    assert image is not None
    assert image.name == name


@given(st.binary(max_size=1024))
def test_read_image_survives_any_bytes(start: bytes) -> None:
    image = read_image(MemoryStick(start))

    assert image is None or image.name == ""
