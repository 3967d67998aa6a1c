# ruff: noqa: F401 - other programs follow
import os
import time
import unittest

import pytest

from hil.sim.management.client import ManagementClient


def hang():
    time.sleep(60)


@pytest.fixture
def hangs(dutlink):
    yield dutlink
    hang()


@pytest.fixture
def hangs_too(dutlink):
    yield dutlink
    hang()


@pytest.fixture(scope="session")
def hangs_late(dutlink):
    yield dutlink
    hang()
