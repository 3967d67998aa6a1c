"""A plugin of a run on two workers: one changes the image after the other has flashed it."""

import os
import time
from pathlib import Path

import pytest

FLASHED = Path(__file__).with_name("flashed")
IMAGE = Path(__file__).with_name("dut-v2.1.img")


@pytest.hookimpl(wrapper=True)
def pytest_runtestloop():
    while os.environ.get("PYTEST_XDIST_WORKER") == "gw1" and not FLASHED.exists():
        time.sleep(0.01)
    if FLASHED.exists():
        IMAGE.write_bytes(IMAGE.read_bytes()[:-512] + bytes(512))
    return (yield)
