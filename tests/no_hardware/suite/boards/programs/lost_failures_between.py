"""A board is unplugged between two tests, and no test misses it."""
# ruff: noqa: F821 - `HEAD` of the test stands before it

USED = []


class Between:
    def pytest_runtest_logfinish(self):
        if USED and is_first("unplugged"):
            unplug(USED[0])


@pytest.fixture(scope="session", autouse=True)
def between(request):
    request.config.pluginmanager.register(Between())


@pytest.mark.parametrize("number", range(6))
def test_more(dutlink, number):
    dutlink.power.read()
    time.sleep(0.1)
    USED.append(dutlink.serial)
