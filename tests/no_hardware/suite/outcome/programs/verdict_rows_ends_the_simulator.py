import os

from hil.sim.management.client import ManagementClient


def test_1_ends_it(power):
    with ManagementClient(int(os.environ["INNER_CONTROL"])) as client:
        client.quit()
    while True:
        power.read()


def test_2_comes_later(power):
    power.read()
