# ruff: noqa: F821 - `FIRST` of the test stands before it
import time


@pytest.fixture(scope="session")
def booted(power):
    power.on()
    with open("boots", "a") as boots:
        boots.write("boot ")
    yield power
    with open("boots", "a") as boots:
        boots.write("end ")


def test_1_uses_it(booted):
    pass


def test_2_fails_once(booted):
    if first("cold"):
        time.sleep(2)
        open("warm", "w").write(str(booted.read().amps))
        assert False
    assert booted.read().amps is not None


def test_3_uses_it_again(booted):
    pass
