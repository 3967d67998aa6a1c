from __future__ import annotations

from typing import TYPE_CHECKING

from hil.dutlink.console.transcript import Chunk, Mark, MarkKind
from hil.evidence.console_file import ConsoleFile, ConsoleFolder
from hil.evidence.records import file_stem
from hil.evidence.run_consoles import RunConsoles
from hil.report.transcript import read_console_view

if TYPE_CHECKING:
    from pathlib import Path

PROMPT = b"# "
ECHO = b" : '!hil0123abcd';printf ...;echo\r\n"
SAID = b"hil-0123abcd-shil-0123abcd-t6.1.0\r\nhil-0123abcd-ex24status.hilx23-0123abcd-g0.\r\n"


def test_console_view_shows_the_users_command_with_the_times_of_its_lines(tmp_path: Path) -> None:
    file = ConsoleFile(ConsoleFolder(tmp_path), "0df10035")
    file.add(Mark(1.0, 0.0, "t", kind=MarkKind.TEST_BEGINS))
    for second, event in enumerate([b"booted\r\n" + PROMPT, "uname -r", ECHO, SAID, b"bye\r\n"], start=2):
        if isinstance(event, str):
            file.add(Mark(float(second), 0.0, event, kind=MarkKind.COMMAND))
        else:
            file.add(Chunk(float(second), 0.0, event))
    file.close()

    view = read_console_view(RunConsoles(tmp_path, ""), file_stem("t"))

    assert view is not None
    assert [(line.at_s, line.text) for line in view.lines if line.kind == "dut"] == [
        *[(2.0, "booted"), (2.0, "# uname -r"), (5.0, "6.1.0"), (6.0, "bye")],
    ]
    assert [mark.text for mark in view.marks] == ["test begins: t"]
    assert (tmp_path / "run-0df10035.raw").read_bytes() == b"booted\r\n# " + ECHO + SAID + b"bye\r\n"
