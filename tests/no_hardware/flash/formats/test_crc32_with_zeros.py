"""CRC-32 of zeros without reading them."""

from __future__ import annotations

import struct
import zlib
from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from hil.flash.formats.android_sparse import crc32_with_zeros
from hil.flash.formats.open import open_image
from tests.support.image_makers import BLOCK

if TYPE_CHECKING:
    from pathlib import Path


@given(st.binary(max_size=50), st.integers(0, 100_000))
def test_crc32_with_zeros_equals_zlib(before: bytes, size: int) -> None:
    crc = zlib.crc32(before)

    assert crc32_with_zeros(crc, size) == zlib.crc32(bytes(size), crc)


def test_crc32_with_zeros_of_sixteen_tebibytes_is_fast(tmp_path: Path) -> None:
    blocks = 0xFFFFFFFF
    header = struct.pack("<I4H4I", 0xED26FF3A, 1, 0, 28, 12, BLOCK, blocks, 1, 0)
    (tmp_path / "image").write_bytes(header + struct.pack("<2H2I", 0xCAC3, 0, blocks, 12))
    image = open_image(tmp_path / "image")

    assert (list(image.extents()), image.size_bytes) == ([], blocks * BLOCK)
