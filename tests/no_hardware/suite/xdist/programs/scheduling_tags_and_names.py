import pytest


@pytest.mark.hardware(tags=["wifi"])
@pytest.mark.parametrize("number", range(4))
def test_wifi(number):
    pass


@pytest.mark.hardware(board="two")
@pytest.mark.parametrize("number", range(4))
def test_two(number):
    pass


@pytest.mark.hardware(tags=["moon"])
def test_moon():
    pass
