# ruff: noqa: B018, F401, F821, PT022 - the test fills in what stands in braces
import time

import pytest

from tests.no_hardware.suite.boards.programs.board_life_head import ONE, note, one, sim, supply


@pytest.fixture(scope="session")
def booted(dutlink):
    dutlink.power.force_on()
    note("booted")
    yield dutlink


@one
def test_1(booted):
    assert supply(ONE)


@one
def test_2_meets_it(booted):
    {meets}


def test_3_no_board():
    {between}


@one
@pytest.mark.parametrize("number", range(2))
def test_4(booted, number):
    booted.power.read()
    assert supply(ONE), "booted is a fixture that switched the DUT on"
