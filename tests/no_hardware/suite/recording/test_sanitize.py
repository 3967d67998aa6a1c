"""Reports, live logs and warnings are safe to show, whatever a DUT said in them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from hil.suite.recording.sanitize import make_plain
from tests.support.programs import program

if TYPE_CHECKING:
    from tests.support.suite_run import RunSuite

pytest_plugins = "pytester"

SAID = program(__file__, "sanitize_said")


def report_of(longrepr: str, sections: list[tuple[str, str]]) -> pytest.TestReport:
    return pytest.TestReport("t.py::t", ("t.py", 1, "t"), {}, "failed", longrepr, "call", sections)


def test_make_plain_leaves_no_ci_command_in_captured_output() -> None:
    said = "boot\n::stop-commands::x\n##[error]x\n[[ATTACHMENT|/etc/passwd]]\n"
    report = report_of("E   assert 0", [("Captured stdout call", said)])

    make_plain(report)

    shown = "boot\n\\x3a:stop-commands::x\n\\x23#[error]x\n\\x5b[ATTACHMENT|/etc/passwd]]\n"
    assert report.sections == [("Captured stdout call", shown)]


def test_make_plain_leaves_no_ci_command_in_a_failure() -> None:
    report = report_of("::error::boom\x1b[2J", [])

    make_plain(report)

    assert report.longrepr == r"\x3a:error::boom"


@pytest.mark.thorough  # processes
@pytest.mark.parametrize("options", [(), ("-n1",), ("-o", "log_cli_format=%(message)s")], ids=str)
def test_terminal_shows_no_command_of_what_is_logged_or_warned_of(
    run_suite: RunSuite, options: tuple[str, ...]
) -> None:
    inner = run_suite(SAID, "--hil-boards=none", "-o", "log_cli=true", *options)

    assert set(inner.results().values()) == {"passed"}, inner.text
    assert r"\x23#vso[task.complete" in inner.text
    assert r"\x3a:error::q\x1b]0;t\x07" in inner.text
    assert "##vso[" not in inner.text.replace(r"\x23#vso[", "")
    assert not [line for line in inner.text.splitlines() if line.lstrip().startswith("::error::")]
    assert "\x1b" not in inner.text
    assert "\x07" not in inner.text
