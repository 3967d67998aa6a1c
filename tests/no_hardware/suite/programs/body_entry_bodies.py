"""Bodies of tests with a board: some run, unittest never starts the others."""

import unittest

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st


@pytest.fixture(scope="module")
def up(dutlink):
    dutlink.power.on()
    return dutlink


class TestPlain(unittest.TestCase):
    @pytest.fixture(autouse=True)
    def _board(self, up):
        self.board = up

    def test_runs(self):
        self.board.power.read()

    def test_skips(self):
        self.skipTest("later")

    async def test_never_awaited(self):
        assert self.board is None

    def test_never_iterated(self):
        assert self.board is None
        yield

    @pytest.mark.xfail(strict=True)
    async def test_expected(self):
        assert self.board is None


class TestAsync(unittest.IsolatedAsyncioTestCase):
    @pytest.fixture(autouse=True)
    def _board(self, up):
        self.board = up

    async def test_is_awaited(self):
        self.board.power.read()


@settings(max_examples=2, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.integers())
def test_drawn(power, number):
    power.read()
    assert number is not None
