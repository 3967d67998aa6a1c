"""A test's console as lines with times, for a page and a terminal, of runs of today and older ones."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from hil.cli.main import run
from hil.dutlink.console.transcript import Chunk, Mark, MarkKind
from hil.evidence.console_file import ConsoleFile, ConsoleFolder
from hil.evidence.console_slices import RunConsoles
from hil.evidence.records import file_stem
from hil.report.transcript import read_console_texts, read_console_view
from tests.support.made_up import a_test, keep_console, keep_run

if TYPE_CHECKING:
    import pytest

OLDER = Path(__file__).parent / "older" / "two_boards"
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


def test_console_text_has_times_marks_and_what_came_before(tmp_path: Path) -> None:
    keep_run(tmp_path, a_test("t::one"), a_test("t::other"))
    keep_console(tmp_path, "t::one", b"U-Boot\r\nlo\xffgin: ", [(100.26, "power on")], before=b"boot> ")

    texts = read_console_texts(tmp_path, "one")

    assert {name: text.splitlines() for name, text in texts.items()} == {
        "t::one": [
            "    -0.250 < boot> ",
            "    +0.000 * test begins: t::one",
            "    +0.000 | U-Boot",
            r"    +0.000 | lo\xffgin: ",
            "    +0.010 * power on",
            "    +2.750 * test ends: t::one",
        ]
    }


def test_console_text_of_an_older_run_has_each_board_of_a_test() -> None:
    texts = read_console_texts(OLDER, "test_link")

    assert texts.keys() == {"test_link.py::test_link", "test_link.py::test_link (client)"}
    assert "| of client" in texts["test_link.py::test_link (client)"]


def test_report_console_prints_the_consoles_of_tests(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    keep_run(tmp_path, a_test("t::one"), a_test("t::two"))
    keep_console(tmp_path, "t::one", b"of one\n")
    keep_console(tmp_path, "t::two", b"of two\n")

    status = run(["report", str(tmp_path), "--console", "t::"])

    out = capsys.readouterr().out
    assert status == 0
    assert out.index("# t::one") < out.index("| of one") < out.index("# t::two") < out.index("| of two")
    assert list(tmp_path.glob("**/*.html")) == []


def test_report_console_of_an_unknown_test_says_what_to_name(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    keep_run(tmp_path, a_test("t::one"))

    assert run(["report", str(tmp_path), "--console", "other"]) == 1
    assert "has no console of a test with 'other' in its name" in capsys.readouterr().err
