"""Boards that Linux' own USB stack has, for tests that use driver and suite from outside.

The root conftest.py takes no part in these runs, so that neither lease nor verdict stands between test and
kernel. A plugin and no conftest.py, because only this session has boards to import.
"""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

from hil.dutlink.board import open_driver
from hil.dutlink.host import Host
from hil.errors import HilError
from tests.kernel.attached import Bench
from tests.kernel.desk import add_users, rule_installed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hil.dutlink.board import Board


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Show what was measured, also where every bound was held."""
    for report in terminalreporter.getreports("passed"):
        for _name, figure in report.user_properties:
            terminalreporter.write_line(str(figure))


@pytest.fixture(scope="session")
def bench() -> Iterator[Bench]:
    """The simulated boards that the kernel has attached, with their truth and their faults."""
    with Bench.of_job(os.environ["HIL_KERNEL_JOB"]) as bench:
        yield bench


@pytest.fixture
def serial(bench: Bench) -> Iterator[str]:
    """The first board's serial number; without faults and plugged in, before the test and after it."""
    yield from bench.in_order(bench.serials[0])


@pytest.fixture
def other_serial(bench: Bench) -> Iterator[str]:
    """The same of the second board."""
    yield from bench.in_order(bench.serials[1])


@pytest.fixture
def boards(bench: Bench, serial: str, other_serial: str) -> tuple[str, ...]:
    """Both of them, in the simulator's order."""
    assert {serial, other_serial} == set(bench.serials)
    return bench.serials


@pytest.fixture
def board(serial: str) -> Iterator[Board]:
    """The first board, open; safe again afterwards if it is still there."""
    with open_driver(Host(), serial) as board:
        board.make_safe()
        yield board
        with suppress(HilError):  # a test may have unplugged it
            board.make_safe()


@pytest.fixture
def own_machine(bench: Bench) -> None:
    """For tests that add users and udev rules: not on a machine that is used for something else."""
    if not bench.own_machine:
        pytest.skip("changes the machine, so it runs in the session's virtual machine alone")


@pytest.fixture
def users(own_machine: None) -> None:  # noqa: ARG001 - asked for first
    """One user in the group of our udev rule, one that is not."""
    add_users()


@pytest.fixture
def rule(bench: Bench, users: None) -> Iterator[None]:  # noqa: ARG001 - asked for first
    """Our udev rule, for the length of a test."""
    with rule_installed(bench.project / "hil" / "data" / "60-dutlink.rules"):
        yield
