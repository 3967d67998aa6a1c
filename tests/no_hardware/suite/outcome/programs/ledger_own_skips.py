import pytest


def test_body(power):
    power.read()
    pytest.skip("not \n today")


@pytest.mark.skip(reason="later")
def test_mark(power):
    pass


@pytest.mark.skipif(True, reason="later")
def test_condition(power):
    pass


@pytest.mark.parametrize("x", [])
def test_empty(power, x):
    pass


def test_reads(power):
    power.read()
