# ruff: noqa: F401 - programs that follow use them
import os
import time
from pathlib import Path

import pytest

from hil.sim.management.client import ManagementClient


def unplug(serial):
    with ManagementClient(int(os.environ["INNER_CONTROL"])) as client:
        client.fault(serial, "unplug")


def is_first(name):
    try:
        Path(name).touch(exist_ok=False)
    except FileExistsError:
        return False
    return True
