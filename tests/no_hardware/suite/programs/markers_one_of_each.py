import pytest


def test_says_nothing():
    pass


def test_asks_for_a_fixture(power):
    pass


@pytest.fixture
def switched(pins):
    pass


def test_asks_for_a_fixture_of_a_fixture(switched):
    pass


@pytest.mark.hardware
def test_says_hardware():
    pass


@pytest.mark.mixed
def test_says_mixed(power):
    pass


@pytest.mark.no_hardware
def test_says_no_hardware():
    pass
