"""Console files of single tests, as older runs kept them; `tests/no_hardware/report/older` has whole runs."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from hil.dutlink.console.transcript import MarkKind
from hil.evidence.console_slices import read_older_slice

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("kind", [[], ["test_begins"]], ids=["oldest", "with kinds"])
def test_read_older_slice_tells_test_edges_from_notes(tmp_path: Path, kind: list[str]) -> None:
    marks = [[1.0, 2.0, 0, "test begins: t::one", *kind], [1.5, 2.5, 3, "power on"]]
    (tmp_path / "a.raw").write_bytes(b"boots")
    (tmp_path / "a.json").write_text(json.dumps({"chunks": [], "marks": marks, "neighbour": []}))

    found = read_older_slice(tmp_path, "a")

    assert found is not None
    assert [(str(mark), mark.kind, mark.position) for mark in found.marks] == [
        ("test begins: t::one", MarkKind.TEST_BEGINS, 0),
        ("power on", MarkKind.NOTE, 3),
    ]


@pytest.mark.parametrize("neighbour", [[[3, 1]], [[-5, 99]], [[0, 2], [1, 4]], [["x", 1]], [7], {}])
def test_read_older_slice_has_each_byte_once_whatever_its_index_says(
    tmp_path: Path, neighbour: object
) -> None:
    (tmp_path / "a.raw").write_bytes(b"boots")
    (tmp_path / "a.json").write_text(json.dumps({"chunks": [], "marks": [], "neighbour": neighbour}))

    found = read_older_slice(tmp_path, "a")

    assert found is not None
    assert b"".join(data for _, data, _ in found.read(0, found.size_bytes)) == b"boots"


def test_read_older_slice_without_an_index_has_the_bytes(tmp_path: Path) -> None:
    (tmp_path / "a.raw").write_bytes(b"boots")

    found = read_older_slice(tmp_path, "a")

    assert found is not None
    assert found.read(0, 100) == [(0, b"boots", False)]
