import gc
import os
import sys
import time

from hil.lab.guard.guard import Guard


def test_first(dutlink):
    dutlink.power.force_on()
    (guard,) = [one for one in gc.get_objects() if isinstance(one, Guard)]
    sys.executable = "/bin/false"
    os.kill(guard.wait_until_ready(), 9)
    while True:
        dutlink.power.read()
        time.sleep(0.05)


def test_second(dutlink):
    dutlink.power.force_on()
