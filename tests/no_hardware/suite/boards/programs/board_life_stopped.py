# ruff: noqa: B018, F821 - the test fills in what stands in braces
import pytest

from tests.no_hardware.suite.boards.programs.board_life_head import note


@pytest.fixture(scope="session")
def booted(dutlink):
    dutlink.power.force_on()
    yield dutlink
    note("ended", dutlink.power.read() is not None)
    raise RuntimeError("at its end")


def test_1(booted):
    pass


def test_2(booted):
    {act}


def test_3(booted):
    pass
