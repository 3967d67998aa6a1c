"""Live logs and warnings are safe to show, whatever a DUT said in them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.programs import program

if TYPE_CHECKING:
    from tests.support.suite_run import RunSuite

pytestmark = pytest.mark.thorough  # processes
pytest_plugins = "pytester"

SAID = program(__file__, "sanitize_live_said")


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
