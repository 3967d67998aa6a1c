"""What a person reads of a failure: few lines, the console's last ones among them, and no password."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from hil.sim.dut.image import build_image
from tests.support.programs import program

if TYPE_CHECKING:
    from hil.sim.process import SimulatorProcess
    from tests.support.suite_run import RunSuite

pytest_plugins = ["pytester"]

SECRET = "hush-83461"  # noqa: S105 - it opens nothing

FAILURES = program(__file__, "short_failures_failures")
PRINTED = program(__file__, "short_failures_printed")
ASSERTS = program(__file__, "short_failures_asserts")

HEADLINES = {
    "test_bad_pattern": "UsageError: the console cannot wait for '[unclosed'",
    "test_refused_attribute": "has no attribute 'name'; settings.write(name=...)",
    "test_expect": "ExpectError: 'never comes' did not come within 0.5 s: last line on board",
    "test_missing_image": "ImageError: missing.img cannot be read: No such file or directory",
    "test_wrong_pin": "UsageError: there is no pin 'x'",
    "test_time_limit": "ExpectError: 'never comes' did not come within",
    "test_hang": "Failed: Timeout (>2.0s) from pytest-timeout",
    "test_off": "Failed: Timeout (>2.0s) from pytest-timeout",
    "test_run_without_login": "ExpectError: 'uname' has no shell to run in",
    "test_wrong_password": "ConsoleError: the DUT did not let root in: it answered 'Login incorrect'",
    "test_unittest": "ExpectError: 'never comes' did not come within 0.5 s",
}
SILENT = {"test_refused_attribute", "test_time_limit", "test_hang", "test_off"}
SIMULATOR = {"boards": 1, "speed": 10}


@pytest.fixture
def boards(
    pytester: pytest.Pytester,
    monkeypatch: pytest.MonkeyPatch,
    run_suite: RunSuite,  # noqa: ARG001 - it makes the folder a suite's
    simulator: SimulatorProcess,
    serial: str,
) -> str:
    """The board, with an image, and a lab file with a password that the DUT refuses; 80 columns."""
    (stick,) = Path(simulator.ready["state"], "sticks").iterdir()
    build_image(pytester.path / "image.img", "short")
    with stick.open("r+b") as bytes_of_stick:
        bytes_of_stick.write((pytester.path / "image.img").read_bytes())
    lab = f'[place.rack-3]\nserial = "{serial}"\nlogin = {{ user = "root", password = "{SECRET}" }}\n'
    (pytester.path / "lab.toml").write_text(lab)
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("HIL_LAB", str(pytester.path / "lab.toml"))
    return f"--hil-boards=sim@{simulator.management.port}"


def test_a_failure_has_at_most_25_lines_and_its_headline_says_what_came(
    run_suite: RunSuite, boards: str
) -> None:
    run = run_suite(FAILURES, boards)

    shown = failures_in(run.text)
    assert shown.keys() == HEADLINES.keys()
    for name, lines in shown.items():
        assert sum(max(1, math.ceil(len(line) / 80)) for line in lines) <= 25, "\n".join(lines)
        assert HEADLINES[name] in run.outcomes[name].message
        assert not any("hil/" in line for line in lines), "a frame of ours is shown"
        assert name in SILENT or any(" | " in one for one in lines)
    assert "ExpectError: 'never" in run.text.rpartition("short test summary info")[2]
    assert "raise @pytest.mark.timeout(4)" in "".join(shown["test_time_limit"])
    assert "that this may take" in "".join(shown["test_time_limit"])


def test_a_time_limit_s_failure_says_what_was_waited_for_the_last_console_line_and_what_to_try(
    run_suite: RunSuite, boards: str
) -> None:
    run = run_suite(FAILURES, boards, "-k", "test_hang or test_off")

    for name, call in {"test_hang": "time.sleep(300)", "test_off": "power.wait_until_off(300)"}.items():
        told = run.outcomes[name].message
        assert f": {call}" in told
        assert "last line on board" in told
        assert "try: raise @pytest.mark.timeout(2)" in told
        shown = failures_in(run.text)[name]
        assert not any("hil/" in line for line in shown)
        assert not any("Captured stdout" in line for line in shown)


def test_a_failed_assert_method_ends_at_the_line_of_the_test(run_suite: RunSuite) -> None:
    run = run_suite(ASSERTS, "--hil-boards=none")

    shown = {name: "\n".join(lines) for name, lines in failures_in(run.text).items()}
    assert [name for name, text in shown.items() if "hil/" in text] == []
    assert ">       TRACE.assert_mean_below(1)\nE       AssertionError: the DUT drew" in shown["test_mean"]
    assert ">       TRACE.assert_off()\nE       AssertionError: the DUT is not off" in shown["test_off"]
    assert ">       assert not TRACE\nE       assert not <PowerTrace" in shown["test_own"]


def test_a_password_is_in_nothing_that_a_run_leaves_behind(
    run_suite: RunSuite, boards: str, pytester: pytest.Pytester
) -> None:
    options = ["--hil-report=report", "--hil-history=history.db", "--showlocals", "--full-trace", "-vv"]

    run = run_suite(FAILURES + PRINTED, boards, "-k", "wrong_password", "--log-level=DEBUG", *options)

    assert "hil/dutlink/dut/login.py" in run.text, "--full-trace shows all frames"
    assert run.outcomes["test_wrong_password"].result == "failed"
    assert run.outcomes["test_wrong_password_that_is_printed"].result == "failed"
    left = [file for file in pytester.path.rglob("*") if file.is_file() and file.name != "lab.toml"]
    assert {".html", ".json", ".txt", ".raw", ".db", ".xml"} <= {file.suffix for file in left}
    assert [str(file) for file in left if SECRET.encode() in file.read_bytes()] == []
    assert SECRET not in run.text


def test_the_debugger_stops_at_the_line_of_the_test(boards: str, pytester: pytest.Pytester) -> None:
    pytester.makepyfile(test_pin="def test_pin(pins):\n    pins.low('x')  # here\n")
    child = pytester.spawn_pytest(f"{boards} --pdb test_pin.py")

    child.expect("Pdb", timeout=60)
    child.sendline("list")
    child.expect(r"->\s+pins.low\('x'\)  # here", timeout=60)
    child.sendeof()
    child.wait()


def failures_in(text: str) -> dict[str, list[str]]:
    """Return the lines of each failure by the test's name: from its heading to the next one."""
    body = text.partition("= FAILURES =")[2].partition("hil: hardware ledger")[0]
    parts = re.split(r"^_+ (?:\w+\.)?(\w+) _+$", body, flags=re.MULTILINE)
    return {
        name: lines.rstrip("=\n ").split("\n") for name, lines in zip(parts[1::2], parts[2::2], strict=True)
    }


def test_misspelt_marker_has_no_hint_about_frames(run_suite: RunSuite) -> None:
    source = "import pytest\n@pytest.mark.hardware(tag='x')\ndef test_a(dutlink): pass"

    inner = run_suite(source, "--hil-boards=none")

    assert "did you mean tags?" in inner.text
    assert "All traceback entries are hidden" not in inner.text
