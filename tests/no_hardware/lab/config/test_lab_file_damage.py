"""Damaged lab files: they are still valid, or an error names the line; there is never a traceback."""

from __future__ import annotations

import contextlib
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hil.errors import UsageError
from hil.lab.config.lab_file import parse_lab
from tests.support.broken_lab_files import GOOD

FILE = Path("lab.toml")
PIECES = st.sampled_from(
    ['"', "'", "[", "]", "{", "}", "=", ",", "\n", "#", ".", '"""', "\\", "true", "1e9", "é"]
)
VALUES = st.recursive(
    st.booleans() | st.integers() | st.text(max_size=5).map(lambda text: f'"{text}"') | st.just("1979-05-27"),
    lambda inner: st.lists(inner, max_size=3),
    max_leaves=5,
)
LINES = GOOD.splitlines()


def told_or_good(text: str) -> None:
    """Read it; what it says of a wrong one is whole, and its line is one of the text's."""
    try:
        parse_lab(FILE, text)
    except UsageError as error:
        told = error
    else:
        return
    assert re.match(r"lab\.toml:\d+: ", told.what), told
    assert (bool(told.why), bool(told.remedy)) == (True, True)
    assert 1 <= int(told.what.split(":")[1]) <= text.count("\n") + 1, told


@given(at=st.integers(0, len(GOOD)), width=st.integers(0, 5), piece=PIECES | st.text(max_size=3))
def test_parse_lab_accepts_or_names_a_replaced_piece(at: int, width: int, piece: str) -> None:
    told_or_good(GOOD[:at] + piece + GOOD[at + width :])


@given(line=st.integers(0, len(LINES) - 1), value=VALUES)
def test_parse_lab_accepts_or_names_a_value_of_any_type(line: int, value: object) -> None:
    key = LINES[line].partition(" = ")[0]
    written = str(value).lower() if isinstance(value, bool) else str(value)
    told_or_good("\n".join([*LINES[:line], f"{key} = {written}", *LINES[line + 1 :]]))


@given(order=st.permutations(range(len(LINES))))
def test_parse_lab_accepts_or_names_lines_in_any_order(order: list[int]) -> None:
    told_or_good("\n".join(LINES[at] for at in order))


@given(text=st.text(max_size=40))
def test_parse_lab_accepts_or_names_any_text(text: str) -> None:
    told_or_good(text)


@given(data=st.binary(max_size=60))
def test_read_lab_accepts_or_names_any_bytes(data: bytes) -> None:
    with contextlib.suppress(UnicodeDecodeError):
        told_or_good(data.decode())


def test_parse_lab_finds_the_line_in_a_large_file() -> None:
    place = '[place.p{0}]\nserial = "{0:08x}"\ntags = [\n  "a",\n]\n'
    places = "".join(place.format(number) for number in range(400))
    with pytest.raises(UsageError, match=r"lab\.toml:2003: unknown key serail"):
        parse_lab(FILE, f'{places}[place.x]\n\nserail = "0df10035"\n')
