"""The console of a test as lines for a terminal, from evidence of today and of older runs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from hil.cli.main import run
from hil.report.console_text import read_console_texts
from tests.support.made_up import a_test, keep_console, keep_run

if TYPE_CHECKING:
    import pytest

OLDER = Path(__file__).parent / "older" / "two_boards"


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
