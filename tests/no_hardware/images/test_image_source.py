"""What a user may name as an image, and what its labels in test ids are."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

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
        ("nofile.img", "check the path"),
        (".", "it is a folder"),
        ("a\0b", "control character"),
        ("a\nb.img", "control character"),
        ("https://x/a%0Ab.img#sha256=" + "0" * 64, "control character"),
        ("https://images.lan/dut.img", "no digest"),
        ("https://images.lan/dut.img#sha256=12", "not 64 hexadecimal digits"),
        (f"https://images.lan/dut.img#md5={DIGEST}", "not 64 hexadecimal digits"),
        (f"https://images.lan/#sha256={DIGEST}", "names no host, or no file"),
        (f"https://images.lan/%2e%2e#sha256={DIGEST}", "names no host, or no file"),
        (f"ftp://images.lan/dut.img#sha256={DIGEST}", "by https and http"),
        (f"https://[images.lan/dut.img#sha256={DIGEST}", "host or port is malformed"),
        (f"https://images.lan:port/dut.img#sha256={DIGEST}", "host or port is malformed"),
        (f"https://images.lan/my dut.img?token=a#sha256={DIGEST}", "write such a character as %20"),
        (f"https://user:secret@images.lan/dut.img#sha256={DIGEST}", "has a user or a password"),
    ],
)
def test_parse_image_refuses(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "dut.img").touch()
    (tmp_path / "noxfile.py").touch()
    with pytest.raises(UsageError, match=said):
        parse_image(text, tmp_path)


@pytest.mark.parametrize(
    "address",
    [
        "https://user:hunter2@images.lan/dut.img?token=hunter2",
        f"https://user:hunter2@images.lan/dut.img#sha256={DIGEST}",
        f"https://user:hunter2/images.lan/dut.img#sha256={DIGEST}",
    ],
)
def test_parse_image_error_tells_no_password(tmp_path: Path, address: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_image(address, tmp_path)
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


@pytest.mark.parametrize(
    ("paths", "labels"),
    [
        (("/monday/dut.img", "/tuesday/dut.img"), ["dut-monday", "dut-tuesday"]),
        (("/v1/out/dut.img", "/v2/out/dut.img"), ["dut-v1", "dut-v2"]),
        (("/out/dut.img", "/out/v2/dut.img"), ["dut", "dut-v2"]),
        (("/out/dut.img", "/out/dut.img.xz"), ["dut-dut.img", "dut-dut.img.xz"]),
    ],
)
def test_image_labels_tell_equal_names_apart(paths: tuple[str, ...], labels: list[str]) -> None:
    assert image_labels([ImageSource(Path(path)) for path in paths]) == labels


NAMES = st.sampled_from(["a", "b", "a-b", "a b", "v1.0", "a.img"])
SOURCES = st.one_of(
    st.builds(lambda parts: ImageSource(Path("/", *parts)), st.lists(NAMES, min_size=1, max_size=3)),
    st.builds(
        lambda name, query: ImageSource(url=f"https://images.lan/{name}?{query}", sha256=DIGEST),
        NAMES,
        st.sampled_from("12"),
    ),
)


@given(st.lists(SOURCES, min_size=1, max_size=6, unique=True))
def test_image_labels_are_unique(images: list[ImageSource]) -> None:
    assert len(set(image_labels(images))) == len(images)
