# ruff: noqa: B018, F821, F841 - the test fills in what stands in braces
import os

import pytest


def fork_and_wait():
    pid = os.fork()
    if pid:
        os.waitpid(pid, 0)
    return pid == 0


@pytest.fixture
def forks(power):
    in_child = {in_set_up} and fork_and_wait()
    yield
    if {in_tear_down}:
        fork_and_wait()


def test_1(power, forks):
    power.read()
    if {in_body} and fork_and_wait():
        {then}


def test_2(power):
    power.read()
