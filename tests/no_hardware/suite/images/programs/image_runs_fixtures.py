import pytest


@pytest.fixture(scope="session")
def booted(power, image):
    power.on()
    yield image.name
    power.read()


def test_usual(booted):
    assert booted == "dut-v2.1.img"


@pytest.mark.hardware(image="rescue.img")
def test_rescue(booted):
    assert booted == "rescue.img"
