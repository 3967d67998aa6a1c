import pytest


@pytest.mark.parametrize("number", range(4))
def test_usual(power, image, number):
    power.read()
    assert image.name == "dut-v2.1.img"


@pytest.mark.hardware(image="rescue.img")
def test_rescue(power, image):
    power.read()
    assert image.name == "rescue.img"


def test_usual_again(power, image):
    power.read()
    assert image.name == "dut-v2.1.img"


@pytest.mark.hardware(image="rescue.img")
def test_rescue_again(power):
    power.read()
