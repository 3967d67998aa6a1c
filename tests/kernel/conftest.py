"""Tests on boards that Linux' own USB stack has; only `nox -s kernel` collects them.

They use the driver and the suite from outside: the root conftest.py takes no part, so that no lease and no
verdict stands between a test and the kernel.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from attached import Bench

    from hil.dutlink.board import Board

IN_SESSION = "HIL_KERNEL_JOB" in os.environ
collect_ignore_glob = [] if IN_SESSION else ["test_*.py"]


@pytest.fixture(scope="session")
def bench() -> Iterator[Bench]:
    """The simulated boards behind the kernel, with their truth and their faults."""
    from attached import Bench  # noqa: PLC0415 - only the session has its packages

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
def board(serial: str) -> Iterator[Board]:
    """The first board, open; safe again afterwards if it is still there."""
    from contextlib import suppress  # noqa: PLC0415 - beside the import that needs to be here

    from hil.dutlink.board import open_board  # noqa: PLC0415 - only the session has its packages
    from hil.dutlink.host import Host  # noqa: PLC0415 - as above
    from hil.errors import HilError  # noqa: PLC0415 - as above

    with open_board(Host(), serial) as board:
        board.make_safe()
        yield board
        with suppress(HilError):  # a test may have unplugged it
            board.make_safe()


@pytest.fixture
def own_machine(bench: Bench) -> None:
    """For tests that add users and udev rules: not on somebody's own machine."""
    if not bench.own_machine:
        pytest.skip("changes the machine, so it runs in the session's virtual machine alone")


@pytest.fixture
def users(own_machine: None) -> None:  # noqa: ARG001 - asked for first
    """One user in the group of our udev rule, one that is not."""
    from desk import add_users  # noqa: PLC0415 - only the session uses it

    add_users()


@pytest.fixture
def rule(bench: Bench, users: None) -> Iterator[None]:  # noqa: ARG001 - asked for first
    """Our udev rule, for the length of a test."""
    from desk import rule_installed  # noqa: PLC0415 - only the session uses it

    with rule_installed(bench.project / "hil" / "data" / "60-dutlink.rules"):
        yield
