"""Images in every format yield the same bytes."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hil.errors import ImageError
from hil.flash.formats.image import Hole
from hil.flash.formats.open import open_image
from tests.support.image_makers import (
    BLOCK,
    COMPRESSORS,
    android_sparse,
    bmap_of,
    content,
    laid_out,
    runs,
    write_blocks,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from hil.flash.formats.image import Image

A_BLOCK = st.one_of(  # none begins like a file of another kind
    st.binary(min_size=15, max_size=15).map(lambda seed: (b"\x01" + seed) * (BLOCK // 16)),
    st.binary(min_size=3, max_size=3).map(lambda word: (b"\x01" + word) * (BLOCK // 4)),
)
BLOCKS = st.lists(st.one_of(st.none(), A_BLOCK), min_size=1, max_size=12)
COMPRESSION = pytest.mark.parametrize("compress", COMPRESSORS.values(), ids=list(COMPRESSORS))


def wanted(blocks: list[bytes | None]) -> dict[int, bytes]:
    return {
        first * BLOCK: b"".join(block or b"" for block in blocks[first : last + 1])
        for first, last in runs(blocks)
    }


def image_of(data: bytes, folder: str, name: str = "image") -> Image:
    path = Path(folder, name)
    path.write_bytes(data)
    return open_image(path)


@given(BLOCKS)
def test_raw_image_yields_bytes_and_holes(blocks: list[bytes | None]) -> None:
    with TemporaryDirectory() as folder:
        image = open_image(write_blocks(Path(folder, "image"), blocks))
        holes = [extent for extent in image.extents() if isinstance(extent, Hole)]

        assert content(image) == wanted(blocks)
        assert image.size_bytes == image.mapped_bytes == len(blocks) * BLOCK
        assert sum(hole.size_bytes for hole in holes) == BLOCK * blocks.count(None)


@COMPRESSION
@given(data=st.binary(max_size=9000).map(b"\x01".__add__))
def test_compressed_image_yields_all_bytes(compress: Callable[[bytes], bytes], data: bytes) -> None:
    with TemporaryDirectory() as folder:
        image = image_of(compress(data), folder)

        assert content(image) == {0: data}
        assert image.size_bytes == len(data)


@COMPRESSION
def test_compressed_image_joins_several_members(compress: Callable[[bytes], bytes], tmp_path: Path) -> None:
    image = image_of(compress(b"a" * 5000) + compress(b"b" * 70000), str(tmp_path))

    assert content(image) == {0: b"a" * 5000 + b"b" * 70000}


@pytest.mark.parametrize("name", ["gzip", "xz"])
def test_compressed_image_ignores_padding(name: str, tmp_path: Path) -> None:
    assert content(image_of(COMPRESSORS[name](b"data") + bytes(300_000), str(tmp_path))) == {0: b"data"}


@COMPRESSION
@given(blocks=BLOCKS)
@settings(max_examples=30)
def test_android_sparse_image_may_be_compressed(
    compress: Callable[[bytes], bytes], blocks: list[bytes | None]
) -> None:
    with TemporaryDirectory() as folder:
        assert content(image_of(compress(android_sparse(blocks)), folder)) == wanted(blocks)


@given(BLOCKS, st.booleans(), st.booleans())
def test_android_sparse_image_yields_raw_and_filled_chunks(
    blocks: list[bytes | None], checksum: bool, crc_chunk: bool
) -> None:
    with TemporaryDirectory() as folder:
        image = image_of(android_sparse(blocks, checksum=checksum, crc_chunk=crc_chunk), folder)

        assert content(image) == wanted(blocks)
        assert image.size_bytes == len(blocks) * BLOCK


@pytest.mark.parametrize("version", ["1.2", "1.3", "1.4", "2.0"])
@given(blocks=BLOCKS, compressor=st.sampled_from([None, *COMPRESSORS]))
@settings(max_examples=40)
def test_mapped_image_yields_only_mapped_ranges(
    version: str, blocks: list[bytes | None], compressor: str | None
) -> None:
    raw = b"".join(block or b"?" * BLOCK for block in blocks)  # what does not matter may be anything
    with TemporaryDirectory() as folder:
        given, path = Path(folder, "given.bmap"), Path(folder, "image")
        given.write_bytes(bmap_of(blocks, version))
        path.write_bytes(COMPRESSORS[compressor](raw) if compressor else raw)
        image = open_image(path, given)

        assert content(image) == wanted(blocks)
        assert image.mapped_bytes == sum(map(len, wanted(blocks).values()))


@pytest.mark.parametrize("beside", ["os.img.gz.bmap", "os.img.bmap", "os.bmap"])
def test_open_image_finds_a_block_map_by_name(beside: str, tmp_path: Path) -> None:
    blocks = [b"a" * BLOCK, None]
    (tmp_path / beside).write_bytes(bmap_of(blocks))

    image = image_of(COMPRESSORS["gzip"](b"a" * BLOCK + bytes(BLOCK)), str(tmp_path), "os.img.gz")

    assert content(image) == {0: b"a" * BLOCK}


def test_open_image_without_a_block_map_yields_everything(tmp_path: Path) -> None:
    (tmp_path / "image.bmap").write_bytes(bmap_of([b"a" * BLOCK, None]))
    (tmp_path / "image").write_bytes(b"x" * 2 * BLOCK)

    assert content(open_image(tmp_path / "image", bmap=False)) == {0: b"x" * 2 * BLOCK}


def test_mapped_image_may_have_a_shorter_last_block(tmp_path: Path) -> None:
    blocks: list[bytes | None] = [None, b"a" * BLOCK]
    (tmp_path / "image.bmap").write_bytes(bmap_of(blocks, cut=100))

    image = image_of(bytes(BLOCK) + b"a" * (BLOCK - 100), str(tmp_path))

    assert content(image) == {BLOCK: b"a" * (BLOCK - 100)}


@COMPRESSION
def test_image_extents_have_at_most_four_mebibytes(
    compress: Callable[[bytes], bytes], tmp_path: Path
) -> None:
    image = image_of(compress(bytes(9 * 1024 * 1024)), str(tmp_path))

    sizes = [len(extent.data) for extent in image.extents()]

    assert (max(sizes) <= 4 * 1024 * 1024, sum(sizes)) == (True, 9 * 1024 * 1024)


def test_image_can_be_read_twice(tmp_path: Path) -> None:
    image = image_of(COMPRESSORS["zstd"](b"data" * 1000), str(tmp_path))

    assert content(image) == content(image)


@given(BLOCKS)
@settings(max_examples=20)
def test_image_formats_give_the_same_disk(blocks: list[bytes | None]) -> None:
    with TemporaryDirectory() as folder:
        raw = laid_out(open_image(write_blocks(Path(folder, "raw"), blocks)))

        assert laid_out(image_of(android_sparse(blocks), folder, "sparse")) == raw
        assert laid_out(image_of(COMPRESSORS["xz"](raw), folder, "packed")) == raw


@pytest.mark.parametrize(
    ("start", "kind"),
    [
        (b"PK\x03\x04", "zip"),
        (b"7z\xbc\xaf\x27\x1c", "7-Zip"),
        (b"\x02!L\x18", "LZ4"),
        (b"QFI\xfb", "qcow2"),
        (b"\x5d\x00\x00\x80\x00" + b"\xff" * 8, "LZMA"),
        (b"\x1f\x9d\x90", "compress"),
        (b"conectix", "VHD"),
        (b'<?xml version="1.0" ?>\n<bmap version="2.0">', "XML"),
        (b"version https://git-lfs.github.com/spec/v1", "Git LFS"),
    ],
)
def test_open_image_names_the_foreign_format(start: bytes, kind: str, tmp_path: Path) -> None:
    with pytest.raises(ImageError, match=kind):
        image_of(start.ljust(1000, b"\0"), str(tmp_path))


def test_open_image_refuses_a_compressed_tar_archive(tmp_path: Path) -> None:
    tar = b"name".ljust(257, b"\0") + b"ustar\x0000" + bytes(1000)

    with pytest.raises(ImageError, match="tar"):
        image_of(COMPRESSORS["gzip"](tar), str(tmp_path))


@pytest.mark.parametrize(("inner", "outer"), [("gzip", "xz"), ("zstd", "gzip"), ("xz", "zstd")])
def test_open_image_refuses_an_archive_in_an_archive(inner: str, outer: str, tmp_path: Path) -> None:
    with pytest.raises(ImageError, match=f"holds a {inner} file"):
        image_of(COMPRESSORS[outer](COMPRESSORS[inner](bytes(1000))), str(tmp_path))


@pytest.mark.parametrize("name", ["missing.img", ".", "nul\0.img"])
def test_open_image_refuses_what_is_no_file(name: str, tmp_path: Path) -> None:
    with pytest.raises(ImageError):
        open_image(tmp_path / name)


def test_open_image_refuses_an_empty_file(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="empty"):
        image_of(b"", str(tmp_path))


def test_compressed_image_refuses_an_archive_of_nothing(tmp_path: Path) -> None:
    with pytest.raises(ImageError):
        content(image_of(COMPRESSORS["gzip"](b""), str(tmp_path)))
