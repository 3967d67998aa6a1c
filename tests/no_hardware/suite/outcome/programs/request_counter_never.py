import pytest


@pytest.fixture
def fake(dutlink):
    return object()


@pytest.mark.hardware
def test_marked():
    pass


def test_with_a_fake(fake):
    assert fake


@pytest.mark.parametrize("dutlink", ["a fake"])
def test_parameter(dutlink):
    assert dutlink


def test_serial(dutlink):
    assert dutlink.serial
