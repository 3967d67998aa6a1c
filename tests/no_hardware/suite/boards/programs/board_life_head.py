import json
import os

import pytest

from hil.sim.management.client import ManagementClient

ONE, TWO = os.environ["ONE"], os.environ["TWO"]
sim = ManagementClient(int(os.environ["INNER_CONTROL"]))
one, two = pytest.mark.hardware(tags="one"), pytest.mark.hardware(tags="two")
KEPT = []


def note(*what):
    with open("notes", "a") as notes:
        notes.write(json.dumps(what) + "\n")


def supply(serial):
    return sim.state(serial)["supply"]
