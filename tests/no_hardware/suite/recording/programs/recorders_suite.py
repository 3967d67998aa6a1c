import pathlib

import pytest


def test_on(power):
    power.force_on()


def test_fails(power, storage):
    storage.host()
    assert power.read().amps > 7, "too little"


def test_skips(power):
    pytest.skip("not today")


@pytest.mark.no_hardware
def test_plain():
    print("said aloud")


@pytest.mark.no_hardware
@pytest.mark.flaky(reruns=1)
def test_second_time():
    seen = pathlib.Path("seen")
    assert seen.exists() or seen.write_text("")
