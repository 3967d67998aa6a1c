# ruff: noqa: F821 - the test writes a string in the place of WHERE
import os
import signal

import pytest


def interrupt():
    os.kill(os.getpid(), signal.SIGINT)


@pytest.fixture
def set_up(power):
    if WHERE == "set-up":
        interrupt()


def test_1(power, set_up):
    interrupt()


def test_2(power):
    pass
