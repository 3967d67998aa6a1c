"""How long texts are broken at the width of a terminal."""

from __future__ import annotations

import math

import pytest

from hil.cli.result import fold

pytestmark = pytest.mark.no_hardware


def test_fold_breaks_a_long_line_at_blanks_and_indents_the_rest() -> None:
    assert fold("one two three four", 10) == "one two\n  three\n  four"


def test_fold_keeps_commands_and_paths_whole() -> None:
    text = "  try: unmount /a/very/long/path/to/a/stick, or hil storage host --force, or wait"

    assert fold(text, 30).splitlines() == [
        "  try: unmount",
        "    /a/very/long/path/to/a/stick,",
        "    or",
        "    hil storage host --force,",
        "    or wait",
    ]


def test_fold_keeps_a_quoted_command_whole() -> None:
    assert "`hil history 'test_a[left]'`" in fold("there are two: `hil history 'test_a[left]'` shows one", 20)


def test_fold_keeps_commas_within_a_command() -> None:
    assert "hil settings set power_on p1,aL,w5" in fold(f"{'x ' * 9}hil settings set power_on p1,aL,w5", 20)


@pytest.mark.parametrize("text", ["a  b  c of a table's row", "short\n\nlines", ""])
def test_fold_leaves_tables_and_short_lines(text: str) -> None:
    assert fold(text, 12) == text


def test_fold_leaves_all_lines_where_there_is_no_terminal() -> None:
    assert fold("x " * 200, math.inf) == "x " * 200
