import pytest


def test_before(power):
    power.read()


@pytest.mark.hardware(boards=2)
def test_pair(dutlinks):
    for dutlink in dutlinks.values():
        dutlink.power.read()


def test_after(power):
    power.read()
