import pytest


def test_boot(power, image, request):
    power.read()
    assert image.version in request.node.name


@pytest.mark.parametrize("how", ["fast"])
def test_mode(power, storage, how):
    power.read()


@pytest.mark.mixed
def test_mixed(power):
    power.read()


def test_no_board():
    pass
