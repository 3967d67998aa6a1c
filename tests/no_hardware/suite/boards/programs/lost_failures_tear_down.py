"""A board is unplugged between two tests; a fixture of the session that depends on it then fails to end."""
# ruff: noqa: F821 - `HEAD` of the test stands before it

FAILS = []


@pytest.fixture(scope="session")
def tidy(dutlink):
    yield
    if FAILS:
        raise AssertionError("the DUT's file system is damaged")


class Between:
    def pytest_runtest_logfinish(self):
        if FAILS and is_first("unplugged"):
            unplug(FAILS[0])


@pytest.fixture(scope="session", autouse=True)
def between(request):
    request.config.pluginmanager.register(Between())


@pytest.mark.parametrize("number", range(14))
def test_more(dutlink, tidy, number):
    dutlink.power.read()
    time.sleep(0.3)
    if is_first("chosen"):
        FAILS.append(dutlink.serial)


@pytest.mark.parametrize("number", range(24))
def test_plain(number):
    time.sleep(0.3)
