import unittest

import pytest


def test_within(measure):
    measure("boot time", 12.5, "s", below=20)
    measure("rate", 3, "MB/s", above=1)


def test_two_broken(measure):
    measure("first", 5, "s", below=5)
    measure("second", 1, "s")
    measure("third", 1, "W", above=2)
    print("it went on")


def test_fails_too(measure):
    measure("late", 9, "s", below=5)
    assert False, "its own failure"


def test_skips_then(measure):
    measure("late", 9, "s", below=5)
    pytest.skip("enough")


def test_skips(measure):
    measure("fine", 1, "s", below=5)
    pytest.skip("enough")


@pytest.mark.xfail(raises=AssertionError, strict=True)
def test_expected(measure):
    measure("late", 9, "s", below=5)


@pytest.fixture(scope="module")
def booted(measure):
    measure("set-up", 7, "s", below=5)


@pytest.fixture
def ends(measure):
    yield
    measure("tear-down", 8, "s", below=5)


def test_in_set_up(booted):
    print("the body ran")


def test_in_tear_down(ends):
    pass


def test_refused(measure):
    measure("odd", "12", "s")


def test_in_subtests(measure, subtests):
    for at in range(3):
        with subtests.test(at=at):
            measure("answer", at, "ms", below=2)


def test_excused_subtest(measure, subtests):
    with subtests.test("one"):
        measure("late", 9, "s", below=5)
        pytest.xfail("it is always so")


def test_series(measure):
    for value in (1, 2, 3):
        measure("answer", value, "ms")


class TestOfUnittest(unittest.TestCase):
    @pytest.fixture(autouse=True)
    def get(self, measure):
        self.measure = measure

    def test_broken(self):
        self.measure("late", 9, "s", below=5)

    def test_fails(self):
        self.measure("late", 9, "s", below=5)
        self.fail("its own failure")

    def test_skips_itself(self):
        self.measure("late", 9, "s", below=5)
        self.skipTest("enough")
