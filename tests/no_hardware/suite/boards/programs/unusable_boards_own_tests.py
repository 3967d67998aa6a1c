import time

import pytest


@pytest.mark.hardware(tags="b")
@pytest.mark.parametrize("n", range(6))
def test_b(power, n):
    power.read()
    time.sleep(3)


@pytest.mark.hardware(tags="a")
@pytest.mark.parametrize("n", range(2))
def test_a(power, n):
    power.read()
