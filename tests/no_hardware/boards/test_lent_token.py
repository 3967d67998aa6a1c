from __future__ import annotations

import os
import threading

import pytest

from hil.boards.lent_token import lend_token, remove_token


@pytest.mark.parametrize("before", [None, "none"])
def test_lent_boards_are_in_the_environment_until_the_run_ends(
    before: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HIL_LEASE", "")
    monkeypatch.setenv("HIL_BOARDS", before or "")
    if before is None:
        monkeypatch.delenv("HIL_BOARDS")

    lend_token("one", "sim@40001")
    lend_token("two", "sim@40001")
    meanwhile = os.environ["HIL_BOARDS"]
    remove_token(frozenset(threading.enumerate()))

    assert meanwhile == "sim@40001"
    assert os.environ.get("HIL_BOARDS") == before


def test_lent_token_without_boards_leaves_the_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HIL_LEASE", "")
    monkeypatch.setenv("HIL_BOARDS", "usb")

    lend_token("one")
    remove_token(frozenset(threading.enumerate()))

    assert os.environ["HIL_BOARDS"] == "usb"
