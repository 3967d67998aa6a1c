# ruff: noqa: B018, F401, F821 - the test fills in what stands in braces
import contextlib
import os

import pytest

from hil.sim.management.client import ManagementClient


def unplug():
    with ManagementClient(int(os.environ["INNER_CONTROL"])) as client:
        client.fault(os.environ["INNER_SERIAL"], "unplug")


class Off:
    def __init__(self, power):
        self.power = power

    def __enter__(self):
        return self.power

    def __exit__(self, *error):
        self.power.force_off()


@contextlib.contextmanager
def off(power):
    try:
        yield power
    finally:
        power.force_off()


def test_1(power, request):
    power.on()
    {body}
