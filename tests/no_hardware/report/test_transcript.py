from __future__ import annotations

from typing import TYPE_CHECKING

from hil.dutlink.console.transcript import Chunk, Mark, MarkKind
from hil.evidence.console_files import ConsoleFiles
from hil.evidence.records import file_stem
from hil.report.transcript import read_console_view

if TYPE_CHECKING:
    from pathlib import Path

PROMPT = b"# "
ECHO = b" : '!hil0123abcd';printf ...;echo\r\n"
SAID = b"hil-0123abcd-shil-0123abcd-t6.1.0\r\nhil-0123abcd-ex24status.hilx23-0123abcd-g0.\r\n"


def test_console_view_shows_the_users_command_with_the_times_of_its_lines(tmp_path: Path) -> None:
    files = ConsoleFiles(tmp_path, "0df10035", Mark(1.0, 0.0, "t", kind=MarkKind.TEST_BEGINS), [])
    at = 0
    for second, event in enumerate([b"booted\r\n" + PROMPT, "uname -r", ECHO, SAID, b"bye\r\n"], start=2):
        if isinstance(event, str):
            files.add(Mark(float(second), 0.0, event, at, MarkKind.COMMAND))
        else:
            files.add(Chunk(float(second), 0.0, event, at))
            at += len(event)
    files.close()

    view = read_console_view(tmp_path, file_stem("t"))

    assert view is not None
    assert [(line.at_s, line.text) for line in view.lines if line.kind == "dut"] == [
        *[(2.0, "booted"), (2.0, "# uname -r"), (5.0, "6.1.0"), (6.0, "bye")],
    ]
    assert [mark.text for mark in view.marks] == ["test begins: t"]
    assert (tmp_path / f"{file_stem('t')}.raw").read_bytes() == b"booted\r\n# " + ECHO + SAID + b"bye\r\n"
