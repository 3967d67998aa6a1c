"""Ids of tests that run on each board."""

from __future__ import annotations

import pytest

from hil.evidence.records import without_column


@pytest.mark.parametrize(
    ("nodeid", "column", "base"),
    [
        ("t.py::test_a[jetson-1]", "jetson-1", "t.py::test_a"),
        ("t.py::T::test_a[jetson-1-fast]", "jetson-1", "t.py::T::test_a[fast]"),
        ("t.py::test_a[jetson-1-fast]", "jetson", "t.py::test_a[1-fast]"),
        ("t.py::test_a[jetson-10]", "jetson-1", "t.py::test_a[jetson-10]"),
        ("t.py::test_a[fast-jetson-1]", "jetson-1", "t.py::test_a[fast-jetson-1]"),
        ("d[a]/t.py::test_a[a-b::c]", "a", "d[a]/t.py::test_a[b::c]"),
        ("t.py::test_a", "jetson-1", "t.py::test_a"),
        ("t.py::test_a[x]", "", "t.py::test_a[x]"),
    ],
)
def test_without_column_is_the_id_on_all_boards(nodeid: str, column: str, base: str) -> None:
    assert without_column(nodeid, column) == base
