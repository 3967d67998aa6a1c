"""The boards that a run lists, and the columns that they make."""

from __future__ import annotations

from pathlib import Path

import pytest

from hil.boards.board_source import BoardSource
from hil.boards.requirements import BoardInfo
from hil.errors import BoardAbsentError
from hil.lab.config.lab import Lab
from hil.lab.config.lab_file import parse_lab
from hil.suite.columns.column import split_by_board
from hil.suite.columns.listed_boards import ListedBoard, list_boards

NO_TAGS: frozenset[str] = frozenset()
LAB = """
[place.jetson-2]
serial = "00000002"
tags = ["jetson", "wifi"]
[place.jetson-1]
serial = "00000001"
tags = ["jetson"]
[place.pi-1]
serial = "00000003"
tags = ["jetson"]
"""


class NamedBoards(BoardSource):
    """A source that lists these boards."""

    def __init__(self, names: dict[str, str] | None, *, simulated: bool = False) -> None:
        super().__init__()
        self.is_simulated = simulated
        self._names = names

    def list_names(self) -> dict[str, str]:
        if self._names is None:
            raise BoardAbsentError("there is no bus")
        return self._names


def lab_of(text: str) -> Lab:
    return parse_lab(Path("lab.toml"), text)


def names_of(listed: list[ListedBoard], each: str = "board", tags: frozenset[str] = NO_TAGS) -> list[str]:
    return [column.name for column in split_by_board(listed, each, tags)]


def test_list_boards_of_a_lab_file_are_its_places_present_or_not() -> None:
    listed = list_boards(NamedBoards({"other": "other"}), lab_of(LAB), [])

    assert [(one.name, one.board) for one in listed] == [
        ("jetson-1", "00000001"),
        ("jetson-2", "00000002"),
        ("pi-1", "00000003"),
    ]


def test_list_boards_without_a_lab_file_are_those_that_the_source_names() -> None:
    listed = list_boards(NamedBoards({"00000009": "00000009"}), Lab(), [])

    assert names_of(listed) == ["00000009"]


def test_list_boards_of_a_simulator_passes_over_a_lab_file_of_other_boards() -> None:
    source = NamedBoards({"sim-1": "aaaaaaaa"}, simulated=True)

    assert names_of(list_boards(source, lab_of(LAB), [])) == ["sim-1"]
    assert names_of(list_boards(source, lab_of('[place.rack]\nserial="aaaaaaaa"'), [])) == ["rack"]


def test_list_boards_that_cannot_be_listed_are_none() -> None:
    assert list_boards(NamedBoards(None), Lab(), []) == []


@pytest.mark.parametrize("only", ["jetson-2", "00000002", "stored-name"])
def test_list_boards_leaves_out_all_but_the_only_board(only: str) -> None:
    listed = list_boards(NamedBoards({}), lab_of(LAB), [BoardInfo("00000002", "stored-name")], only)

    assert names_of(listed) == ["jetson-2"]


def test_columns_leave_out_boards_without_the_tags() -> None:
    listed = list_boards(NamedBoards({}), lab_of(LAB), [])

    assert names_of(listed, tags=frozenset({"wifi"})) == ["jetson-2"]
    assert names_of(listed, tags=frozenset({"spi"})) == []


def test_columns_have_a_board_whose_tags_are_not_known() -> None:
    lab = lab_of('[place.a]\nserial = "00000001"\n[place.b]\nserial = "00000002"')
    listed = list_boards(NamedBoards({}), lab, [BoardInfo("00000002", "b", frozenset({"spi"}))])

    assert names_of(listed, tags=frozenset({"wifi"})) == ["a"]


def test_columns_of_kinds_are_those_of_the_lab_file() -> None:
    kinds = LAB.replace('serial = "00000001"', 'serial = "00000001"\nkind = "orin"')
    kinds = kinds.replace('serial = "00000002"', 'serial = "00000002"\nkind = "orin"')
    columns = split_by_board(list_boards(NamedBoards({}), lab_of(kinds), []), "kind", NO_TAGS)

    assert {column.name: column.boards for column in columns} == {
        "orin": {"00000001", "00000002"},
        "pi-1": {"00000003"},
    }


def test_columns_of_kinds_are_sets_of_tags_in_a_lab_file_without_kinds() -> None:
    told = [BoardInfo("00000001", "", frozenset({"jetson", "stored"}))]
    columns = split_by_board(list_boards(NamedBoards({}), lab_of(LAB), told), "kind", NO_TAGS)

    assert {column.name: column.boards for column in columns} == {
        "jetson": {"00000001", "00000003"},
        "jetson+wifi": {"00000002"},
    }


def test_columns_of_kinds_on_a_bus_are_sets_of_stored_tags() -> None:
    told = [BoardInfo("1", "", frozenset({"b", "a"})), BoardInfo("2")]
    listed = list_boards(NamedBoards({"1": "1", "2": "2", "3": "3"}), Lab(), told)

    assert names_of(listed, "kind") == ["a+b", "untagged"]


def test_columns_have_different_names_though_an_id_takes_few_letters() -> None:
    listed = [ListedBoard("a/b", "1", "é[1]"), ListedBoard("a:b", "2", "é[1]"), ListedBoard("a_b", "3", "x")]

    assert names_of(listed) == ["a_b", "a_b_", "a_b__"]
    assert names_of(listed, "kind") == ["__1_", "x"]


def test_listed_board_survives_the_way_to_a_worker() -> None:
    for board in (ListedBoard("a", "1", "k"), ListedBoard("a", "1", "k", frozenset({"x", "y"}))):
        assert ListedBoard.from_data(board.as_data()) == board
