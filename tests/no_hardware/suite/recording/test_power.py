"""`--hil-report DIR` keeps a power trace of every test that uses a board."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hil.evidence.records import file_stem

if TYPE_CHECKING:
    from tests.support.suite_run import RunSuite

pytest_plugins = ["pytester"]
pytestmark = pytest.mark.thorough  # runs of the suite
THREE = """
import time
def sampled(power):
    with power.trace() as trace:
        while len(trace.samples) < 5: time.sleep(0.05)
def test_on(power): power.force_on(); sampled(power)
def test_fails(power): sampled(power); assert False
def test_plain(): pass
"""


@pytest.mark.parametrize("workers", ["-n0", "-n2"])
def test_a_trace_is_kept_of_tests_on_boards_only_whatever_their_outcome(
    run_suite: RunSuite, pytester: pytest.Pytester, workers: str
) -> None:
    run_suite(THREE, "--hil-boards=sim:2", "--hil-report=report", workers)

    kept = [json.loads(path.read_text()) for path in (pytester.path / "report" / "power").glob("*.json")]
    assert {trace["test"].partition("::")[2] for trace in kept} == {"test_on", "test_fails"}
    assert all(trace["samples"] and trace["board"] and trace["rate_hz"] > 0 for trace in kept)
    assert len(list((pytester.path / "report" / "power").glob("*.svg"))) == 2


def test_nothing_is_kept_unless_asked(run_suite: RunSuite, pytester: pytest.Pytester) -> None:
    run_suite(THREE, "--hil-boards=sim:1")

    assert list(pytester.path.glob("**/*.svg")) == []


def test_a_folder_that_cannot_be_made_fails_no_test_and_is_told(
    run_suite: RunSuite,
) -> None:
    since_it_began = "import shutil\nshutil.rmtree('report')\nopen('report', 'w').close()\n"

    inner = run_suite(since_it_began + THREE, "--hil-boards=sim:1", "--hil-report=report")

    assert (inner.results()["test_on"], "cannot be kept" in inner.text) == ("passed", True)


@given(st.text(max_size=400), st.text(max_size=400))
def test_each_test_has_a_file_name_of_its_own(one: str, other: str) -> None:
    stems = file_stem(one), file_stem(other)

    assert (stems[0] == stems[1]) == (one == other)
    assert all("/" not in stem and "\0" not in stem and 0 < len(stem) < 140 for stem in stems)
