"""A body fails, and the tear-down of its test meets the loss of the board."""
# ruff: noqa: F821 - `HEAD` of the test stands before it


@pytest.fixture
def tidy(dutlink):
    yield
    dutlink.power.force_off()


def test_fails(dutlink, tidy):
    dutlink.power.read()
    if is_first("failed"):
        unplug(dutlink.serial)
        pytest.fail("the DUT rebooted by itself")


@pytest.mark.parametrize("number", range(14))
def test_more(power, number):
    power.read()
    time.sleep(0.1)
