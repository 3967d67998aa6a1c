import os
import time

import pytest


@pytest.fixture
def told(dutlink):
    yield
    open(os.environ["TOLD"] + ".ended", "w").close()


def test_powered(dutlink, told):
    dutlink.power.force_on()
    with open(os.environ["TOLD"], "w") as file:
        file.write(f"{os.getppid()} {os.getpid()}")
    for _ in range(600):  # a signal just in front of one long sleep would be found at its end
        time.sleep(0.1)
