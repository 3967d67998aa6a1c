from __future__ import annotations

import re
from io import StringIO

from hypothesis import given
from hypothesis import strategies as st

from hil.dutlink.console.sanitize import sanitize_bytes
from hil.dutlink.console.transcript import Chunk, Mark, MarkKind
from hil.evidence.timestamped_log import TimestampedLog, newest_lines

LINE = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} +[+-]\d+\.\d{3} ([|<*]) (.*)")


def written(pieces: list[bytes]) -> list[tuple[str, str]]:
    """The source and the text of each line."""
    file = StringIO()
    text = TimestampedLog(file, 100.0)
    position = 0
    for number, piece in enumerate(pieces):
        text.add(Chunk(100.0 + number, 1_700_000_000.0 + number, piece, position))
        position += len(piece)
    text.finish()
    lines = file.getvalue().split("\n")[:-1]
    found = [LINE.fullmatch(line) for line in lines]
    assert None not in found, lines
    return [(match[1], match[2]) for match in found if match]


@given(st.lists(st.one_of(st.binary(max_size=40), st.sampled_from([b"\r\n", b"\n", b"\r", b"\x1b[0m"]))))
def test_timestamped_log_lines_equal_the_sanitized_text(pieces: list[bytes]) -> None:
    said = [line for _, line in written(pieces)]

    whole = sanitize_bytes(b"".join(pieces))
    assert said == whole.removesuffix("\n").split("\n") or (said, whole) == ([], "")


def test_timestamped_log_line_has_the_time_of_its_first_byte() -> None:
    text = TimestampedLog(file := StringIO(), 100.0)
    for number, piece in enumerate((b"be", b"gin\nnext", b"\n")):
        text.add(Chunk(100.0 + number, 1_700_000_000.0 + number, piece))

    assert re.findall(r"\+(\d)\.000 \| (\w+)", file.getvalue()) == [("0", "begin"), ("1", "next")]


def test_timestamped_log_splits_an_endless_line() -> None:
    for pieces in ([b"x" * 10_000 + b"\n"], [b"x" * 1_000] * 10, [b"a\n" + b"x" * 10_000 + b"\nb\n"]):
        lines = [line for _, line in written(pieces)]

        assert max(map(len, lines)) <= 2_000
        assert "".join(lines).count("x") == 10_000


def test_timestamped_log_mark_ends_the_line() -> None:
    events = [Chunk(100.0, 1.0, b"login: "), Mark(101.0, 2.0, "power\x1b off"), Chunk(102.0, 3.0, b"x")]

    shown = newest_lines(events, 100.0, 10)

    assert [line.split(None, 1)[-1] for line in shown] == ["| login: ", r"* power\x1b off", "| x"]


def test_newest_lines_leave_out_blank_ones() -> None:
    events = [Chunk(100.0, 1.0, b"first\r\n\r\n  \r\n\r\nlast |\r\n")]

    shown = newest_lines(events, 100.0, 2)

    assert [line.split(None, 1)[-1] for line in shown] == ["| first", "| last |"]


def test_timestamped_log_shows_a_command_after_its_prompt() -> None:
    text = TimestampedLog(file := StringIO(), 0.0, wall=False)

    text.add(Chunk(1.0, 0.0, b"# "))
    text.add(Mark(2.0, 0.0, "uname -r", kind=MarkKind.COMMAND))
    text.add(
        Chunk(3.0, 0.0, b" : printf ...;echo\r\nhil-0123abcd-shil-0123abcd-t6.1\r\nhil-0123abcd-e0.\r\n# ")
    )
    text.finish()

    assert [line.split(" ", 5)[-1] for line in file.getvalue().splitlines()] == [
        "| # uname -r",
        "| 6.1",
        "| # ",
    ]
