import os

from hil.sim.management.client import ManagementClient


def test_leaves_a_board_that_comes_back_and_refuses(power):
    power.force_on()
    with ManagementClient(int(os.environ["INNER_CONTROL"])) as client:
        client.fault(os.environ["BAD"], "unplug")
        client.fault(os.environ["BAD"], "replug")
        client.fault(os.environ["BAD"], "stall", count=100000)
