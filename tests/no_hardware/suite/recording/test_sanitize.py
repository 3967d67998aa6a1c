"""What a report says of a test on a board is safe to show."""

from __future__ import annotations

import pytest

from hil.suite.recording.sanitize import make_plain


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
