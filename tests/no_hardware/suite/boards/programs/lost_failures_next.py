"""The test before fails to end its board's fixture, which the set-up of a test tells that is to fail."""
# ruff: noqa: F821 - `HEAD` of the test stands before it

USED = []


@pytest.fixture(scope="session")
def tidy(dutlink):
    yield
    raise AssertionError("the DUT's file system is damaged")


class Between:
    def pytest_runtest_logfinish(self):
        if USED and is_first("unplugged"):
            unplug(USED[0])


def test_first(request, dutlink, tidy):
    request.config.pluginmanager.register(Between())
    dutlink.power.read()
    USED.append(dutlink.serial)


@pytest.mark.xfail(reason="not yet")
def test_next(dutlink):
    assert dutlink.power.read() is None
