# ruff: noqa: F821 - `FIRST` of the test stands before it
@pytest.fixture(scope="module")
def fails_once(power):
    assert not first("fixture")


def test_in_setup(fails_once):
    pass


def test_always(power):
    assert False, "at every attempt"


def test_subtests_always(power, subtests):
    with subtests.test("one"):
        assert False, "in both attempts"


def test_subtests(power, subtests):
    with subtests.test("one"):
        assert not first("subtest")
    with subtests.test("two"):
        pass


def test_skips_then(power):
    if first("skips"):
        assert False, "before the skip"
    pytest.skip("no more")


@pytest.mark.xfail(strict=True)
def test_expected(power):
    assert False


@pytest.fixture
def ends_badly(power):
    yield
    assert False, "at its end"


def test_teardown(ends_badly):
    pass


def test_flaky_and_ends_badly(ends_badly):
    assert not first("both")
