"""The error of a search in which no board suits."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from hil.boards.requirements import BoardInfo, BoardRequirement
from hil.errors import BoardAbsentError, UsageError
from hil.jumpstarter.client.search import FoundBoard, Search
from hil.jumpstarter.client.target import SelectorTarget
from hil.lab.config.lab import Lab


def found(exporter: str, tag: str) -> FoundBoard:
    connection: Any = SimpleNamespace(lease=SimpleNamespace(exporter=exporter))
    return FoundBoard(connection, BoardInfo("5a1c0e01", "", frozenset({tag})))


@pytest.mark.parametrize(("known", "kind"), [({"a"}, UsageError), ({"a", "b"}, BoardAbsentError)])
def test_no_board_error_reports_a_misspelt_tag_only_if_all_tags_are_known(
    known: set[str], kind: type[Exception]
) -> None:
    search = Search(SelectorTarget("board=dutlink", ""), Lab(), 0.0, lambda _line: None)
    search.found.append(found("a", "jetson"))

    error = search._no_board_error(BoardRequirement(frozenset({"jetsn"})), known)

    assert type(error) is kind
    assert kind is BoardAbsentError or error.remedy == "did you mean jetson?"
