"""A file that stores zeros as holes and gets its name when it is complete."""

from __future__ import annotations

import os
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hil.errors import StorageError
from hil.flash.sparse_file import SparseFile

PIECE = st.one_of(
    st.binary(max_size=5000), st.integers(0, 30_000).map(bytes), st.just(b"x" + bytes(9000) + b"y")
)


@given(st.lists(PIECE, max_size=8))
def test_sparse_file_holds_what_was_written(pieces: list[bytes]) -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder, "stick.img")
        with SparseFile(path) as file:
            for piece in pieces:
                file.write(piece)

        assert path.read_bytes() == b"".join(pieces)


def test_sparse_file_stores_zeros_as_holes(tmp_path: Path) -> None:
    path = tmp_path / "stick.img"
    with SparseFile(path) as file:
        file.write(bytes(1024 * 1024) + b"x" + bytes(4095) + bytes(1024 * 1024))

    assert path.stat().st_blocks * 512 <= 64 * 1024


def test_sparse_file_does_not_replace_special_files(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to(tmp_path / "pipe")
    for name in ("pipe", "link", "."):
        with pytest.raises(StorageError, match="no plain file"), SparseFile(tmp_path / name):
            pass

    assert (tmp_path / "pipe").is_fifo()
    assert sorted(each.name for each in tmp_path.iterdir()) == ["link", "pipe"]


def test_sparse_file_follows_a_link(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("stick.img")
    with SparseFile(tmp_path / "link") as file:
        file.write(b"new")

    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "stick.img").read_bytes() == b"new"


def test_sparse_file_allows_the_longest_name(tmp_path: Path) -> None:
    path = tmp_path / ("\u00e4" * 127)
    with SparseFile(path) as file:
        file.write(b"new")

    assert path.read_bytes() == b"new"


def test_sparse_file_keeps_the_old_file_until_complete(tmp_path: Path) -> None:
    path = tmp_path / "stick.img"
    path.write_bytes(b"old")

    def write_half() -> None:
        with SparseFile(path) as file:
            file.write(b"new")
            raise ConnectionError

    with pytest.raises(ConnectionError):
        write_half()

    assert {one.name: one.read_bytes() for one in tmp_path.iterdir()} == {"stick.img": b"old"}


@pytest.mark.parametrize("name", ["absent/stick.img", "a\0b"], ids=["no folder", "a NUL in it"])
def test_sparse_file_reports_an_impossible_path(tmp_path: Path, name: str) -> None:
    with pytest.raises(StorageError, match="cannot be written"), SparseFile(tmp_path / name):
        pass
