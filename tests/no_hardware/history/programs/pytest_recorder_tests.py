import pytest


def test_passes():
    pass


def test_fails():
    assert 1 == 2, "one is not two"  # noqa: PLR0133 - a test reads this line


def test_skips():
    pytest.skip("not today")


@pytest.mark.xfail
def test_expected():
    assert False


@pytest.fixture
def broken():
    raise ValueError("no set-up")


def test_errs(broken):
    pass


def test_on_a_board(power):
    power.read()


@pytest.mark.flaky(reruns=2)
def test_second_time(tmp_path_factory):
    seen = tmp_path_factory.getbasetemp().parent / "seen"
    assert seen.exists() or seen.write_text("")
