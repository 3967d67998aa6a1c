import pytest

from hil.dutlink.board import open_driver


@pytest.fixture(scope="module")
def measured(power):
    return power.read()


def test_request(power):
    power.read()


def test_fixture(measured):
    assert measured


def test_fixture_again(measured):
    assert measured


def test_console(console):
    console.unread()


@pytest.mark.hardware(observes_only=True)
def test_observes(measured):
    assert measured


@pytest.mark.hardware
def test_opens_it_itself(request):
    board = request.getfixturevalue("dutlink")
    with open_driver(board.host, board.serial, console=False) as again:
        again.power.read()


@pytest.mark.xfail
def test_expected(dutlink):
    assert False
