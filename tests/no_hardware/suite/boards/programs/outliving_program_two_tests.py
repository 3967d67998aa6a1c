# ruff: noqa: F821 - the test fills in what stands in braces
import os
import shutil
import subprocess
import sys

import pytest


def ask(program):
    program.stdin.write("\n")
    return program.stdout.readline()


@pytest.fixture(scope="module")
def program(power):
    arguments = [sys.executable, "-c", {program}, {boards}]
    pipe = subprocess.PIPE
    with subprocess.Popen(arguments, stdin=pipe, stdout=pipe, text=True, bufsize=1) as stays:
        yield stays


def test_removes_the_lock_folder(program, power):
    assert ask(program) == "on\n"
    shutil.rmtree(os.environ["HIL_LOCK_DIR"])
    assert ask(program) == "LeaseEndedError\n"
    assert power.read().volts >= 0


def test_goes_on(program, power):
    assert ask(program) == "on\n"
    power.off()
