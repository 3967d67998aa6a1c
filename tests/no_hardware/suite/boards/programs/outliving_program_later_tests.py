# ruff: noqa: F821 - the test fills in what stands in braces
import subprocess
import sys

import pytest

HIL = [sys.executable, "-m", "hil.cli.main", "power", "on", "--boards", {boards}]


def test_uses_the_board(power):
    assert subprocess.run(HIL).returncode == 0


@pytest.mark.no_hardware
def test_runs_a_command():
    refused = subprocess.run(HIL, capture_output=True, text=True)
    assert (refused.returncode, "env -u HIL_LEASE" in refused.stderr) == (1, True), refused.stderr


@pytest.mark.no_hardware
def test_runs_a_command_that_acquires_a_lease():
    assert subprocess.run(["env", "-u", "HIL_LEASE", *HIL]).returncode == 0
