# ruff: noqa: F821 - the test writes a string in the place of WHERE
import os

import pytest


@pytest.fixture
def ends(power):
    yield
    os._exit(0)


def test_1(power):
    power.read()


def test_2(power, ends):
    power.read()
    if WHERE == "body":
        os._exit(0)
