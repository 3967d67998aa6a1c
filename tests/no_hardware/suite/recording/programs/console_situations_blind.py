import pytest


@pytest.fixture
def slow_on(dutlink):
    dutlink.settings.write(power_on="p1,w15")
    yield
    dutlink.settings.write(power_on="")


def test_blind(slow_on, power, console):
    power.on()
    begins, ends = console.transcript.marks[-2:]
    assert ("blind for 1.5 s" in begins.text, ends.text) == (True, "power on is done")
    assert begins.position == ends.position  # what the DUT said in its first second is lost
    console.sendline()
    console.expect("boot ROM", timeout_s=20)
