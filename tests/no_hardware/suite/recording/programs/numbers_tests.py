import multiprocessing
import threading
import unittest

import pytest

from hil.errors import UsageError


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


left_open = []
ended = threading.Event()
errors = []


def test_leaves_a_thread(measure):
    def measure_late():
        ended.wait(60)
        try:
            measure("late", 9, "s", below=5)
        except UsageError as error:
            errors.append(error)

    left_open.append(threading.Thread(target=measure_late))
    left_open[0].start()


def test_after_a_thread():
    ended.set()
    left_open.pop().join()
    assert "join the thread before its test ends" in str(errors[0])


def test_enters_a_block(measure):
    left_open.append(measure.time("long"))
    left_open[0].__enter__()


def test_leaves_a_block():
    left_open.pop().__exit__(None, None, None)


def test_in_a_forked_child(measure):
    child = multiprocessing.get_context("fork").Process(target=measure, args=("late", 9, "s"))
    child.start()
    child.join()
    assert child.exitcode == 0
