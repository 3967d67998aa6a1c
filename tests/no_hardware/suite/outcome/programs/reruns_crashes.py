"""A test that ends its worker in the phase `PHASE`: once, or `ALWAYS`."""
# ruff: noqa: F821 - the test adds these names

import os
import pathlib

import pytest


def die(phase):
    mark = pathlib.Path("mark")
    if phase == PHASE and (ALWAYS or not mark.exists()):
        mark.touch()
        os._exit(1)


@pytest.fixture
def it(request):
    """Ask the controller first, which then knows that the test may be rerun, then let the test run."""
    request.config.failures_db.get_test_reruns(request.node.nodeid)
    yield
    die("teardown")


def test_it(it):
    die("call")
