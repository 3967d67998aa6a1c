import time

import pytest


@pytest.mark.hardware(tags=["red"])
def test_red():
    pass


@pytest.mark.hardware(tags=["blue"])
@pytest.mark.parametrize("number", range(3))
def test_blue(number):
    pass


@pytest.mark.parametrize("number", range(8))
def test_other(number):
    deadline = time.monotonic() + 30
    while open("log").read().count("not_needed") < 2 and time.monotonic() < deadline:
        time.sleep(0.01)
    assert time.monotonic() < deadline
