# ruff: noqa: F821 - the test fills in what stands in braces
import subprocess
import sys

HIL = [sys.executable, "-m", "hil.cli.main", "power"]
BOARDS = ["--boards", {boards}]


def test_runs_commands(power):
    assert subprocess.run([*HIL, "force-on", *BOARDS]).returncode == 0
    assert power.read().volts >= 0
    late = 'read line; "$@"; echo $? > ' + {told}
    with open({pipe}) as pipe:
        subprocess.Popen(["sh", "-c", late, "", *HIL, "on", *BOARDS], stdin=pipe, start_new_session=True)
