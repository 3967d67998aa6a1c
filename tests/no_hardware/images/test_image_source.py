"""What a user may name as an image, and what its labels in test ids are."""

from __future__ import annotations

from pathlib import Path

import pytest

from hil.errors import UsageError
from hil.images.source import ImageSource, image_labels, parse_image

pytestmark = pytest.mark.no_hardware
DIGEST = "0123456789abcdef" * 4


def _named(*names: str) -> list[ImageSource]:
    return [ImageSource(Path("/images", name)) for name in names]


def test_parse_image_finds_a_file_from_its_folder(tmp_path: Path) -> None:
    (tmp_path / "dut.img").touch()
    assert parse_image("dut.img", tmp_path).path == tmp_path / "dut.img"


def test_parse_image_takes_an_address_with_its_digest(tmp_path: Path) -> None:
    image = parse_image(f"https://images.lan/a/dut.img.xz#sha256={DIGEST.upper()}", tmp_path)
    assert (image.name, image.sha256, image.url) == ("dut.img.xz", DIGEST, "https://images.lan/a/dut.img.xz")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "no name"),
        ("dut.imgg", "did you mean .*dut.img"),
        (".", "it is a folder"),
        ("a\0b", "NUL"),
        ("https://images.lan/dut.img", "no digest"),
        ("https://images.lan/dut.img#sha256=12", "not 64 hexadecimal digits"),
        (f"https://images.lan/dut.img#md5={DIGEST}", "not 64 hexadecimal digits"),
        (f"https://images.lan/#sha256={DIGEST}", "names no host, or no file"),
        (f"ftp://images.lan/dut.img#sha256={DIGEST}", "by https and http"),
    ],
)
def test_parse_image_refuses(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "dut.img").touch()
    with pytest.raises(UsageError, match=said):
        parse_image(text, tmp_path)


def test_parse_image_error_tells_no_password(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        parse_image("https://user:hunter2@images.lan/dut.img?token=hunter2", tmp_path)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "version"),
    [
        ("dut-v2.1.img.xz", "v2.1"),
        ("yocto-4.0.12-rc1.wic", "4.0.12-rc1"),
        ("rescue.img", ""),
        ("a-1.2-b-3.4.img", ""),
        ("abc1.2.img", ""),
    ],
)
def test_version_is_read_from_the_name(name: str, version: str) -> None:
    assert _named(name)[0].version == version


@pytest.mark.parametrize(
    ("names", "labels"),
    [
        (("dut-v2.0.img", "dut-v2.1.img.xz"), ["v2.0", "v2.1"]),
        (("dut-v2.0.img", "rescue.img"), ["v2.0", "rescue"]),
        (("a-v2.0.img", "b-v2.0.img"), ["a-v2.0", "b-v2.0"]),
        (("my image (1).img",), ["my-image-1-"]),
    ],
)
def test_image_labels_are_short(names: tuple[str, ...], labels: list[str]) -> None:
    assert image_labels(_named(*names)) == labels


def test_image_labels_tell_equal_names_apart() -> None:
    images = [ImageSource(Path("/monday/dut.img")), ImageSource(Path("/tuesday/dut.img"))]
    assert len(set(image_labels(images))) == 2
