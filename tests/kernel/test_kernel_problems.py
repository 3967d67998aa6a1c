"""Each problem that a lab has: planted for real, then seen through the suite as a verdict with its remedy."""

from __future__ import annotations

import contextlib
import fcntl
import os
import termios
from typing import TYPE_CHECKING

import pytest

from hil.lab.locks.acquire import acquire
from tests.kernel.attached import tty_node
from tests.kernel.desk import INSIDER
from tests.kernel.inner_suite import READS, TALKS, run_suite

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.kernel.attached import Bench

SYSTEM_LIBUSB = "/usr/lib/x86_64-linux-gnu/libusb-1.0.so.0"


def hidden(*libraries: str) -> list[str]:
    """Start a program that does not have these libraries, in a mount namespace of its own."""
    script = " && ".join(f"mount --bind /dev/null {library}" for library in libraries) + ' && exec "$@"'
    return ["unshare", "--mount", "sh", "-c", script, "sh"]


def packaged_libusb() -> str:
    import libusb_package  # noqa: PLC0415 - only the session has it for certain

    return str(libusb_package.get_library_path())


@contextlib.contextmanager
def grabbed(tty: Path, *, exclusively: bool) -> Iterator[None]:
    """Have a tty open the way ModemManager does, AT commands included; or locked, as careful programs do."""
    descriptor = os.open(tty, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
    try:
        if exclusively:
            fcntl.ioctl(descriptor, termios.TIOCEXCL)
        else:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.write(descriptor, b"AT\r")
        yield
    finally:
        with contextlib.suppress(OSError):
            fcntl.ioctl(descriptor, termios.TIOCNXCL)
        os.close(descriptor)


@pytest.mark.usefixtures("own_machine", "boards")
def test_without_any_libusb_there_is_no_usb_backend(tmp_path: Path) -> None:
    outcome = run_suite(tmp_path, READS, prefix=hidden(SYSTEM_LIBUSB, packaged_libusb()))["test_reads"]

    assert (outcome.result, outcome.message.startswith("No USB backend: ")) == ("skipped", True)
    assert "apt install libusb-1.0-0" in outcome.message


@pytest.mark.usefixtures("own_machine", "boards")
def test_without_the_systems_libusb_the_packaged_one_does(tmp_path: Path) -> None:
    outcome = run_suite(tmp_path, READS, prefix=hidden(SYSTEM_LIBUSB))["test_reads"]

    assert (outcome.result, outcome.message) == ("passed", "")


def test_boards_that_are_unplugged_are_absent(bench: Bench, boards: tuple[str, ...], tmp_path: Path) -> None:
    for serial in boards:
        bench.management.fault(serial, "unplug")
        bench.wait_until_gone(serial)

    outcome = run_suite(tmp_path, READS)["test_reads"]

    assert (outcome.result, outcome.message.startswith("DUTLink not available: ")) == ("skipped", True)
    assert "plug it in" in outcome.message


@pytest.mark.parametrize("product_id", [0xE012, 0x1012])
def test_boards_in_their_boot_loader_are_absent_and_named_as_such(
    bench: Bench, boards: tuple[str, ...], tmp_path: Path, product_id: int
) -> None:
    for serial in boards:
        bench.management.fault(serial, "boot_loader", product_id=product_id)
        bench.wait_until_boot_loader(serial)

    outcome = run_suite(tmp_path, READS)["test_reads"]

    assert (outcome.result, outcome.message.startswith("DUTLink not available: ")) == ("skipped", True)
    assert ("boot loader" in outcome.message, "replug it" in outcome.message) == (True, True)


def test_boards_that_hang_are_lost(bench: Bench, boards: tuple[str, ...], tmp_path: Path) -> None:
    for serial in boards:
        bench.management.fault(serial, "hang")

    outcome = run_suite(tmp_path, READS)["test_reads"]

    assert (outcome.result, outcome.message.startswith("DUTLink lost: ")) == ("skipped", True)


def test_boards_that_others_hold_are_busy_and_the_holder_is_named(
    boards: tuple[str, ...], tmp_path: Path
) -> None:
    with contextlib.ExitStack() as leases:
        for serial in boards:
            leases.enter_context(acquire(serial, test="elsewhere.py::test_long"))

        outcome = run_suite(tmp_path, READS, "--hil-wait=0.5")["test_reads"]

    assert (outcome.result, outcome.message.startswith("DUTLink busy: ")) == ("skipped", True)
    assert "elsewhere.py::test_long" in outcome.message


def test_a_tty_that_another_program_has_locked_fails_the_test_and_says_how_to_find_it(
    boards: tuple[str, ...], tmp_path: Path
) -> None:
    with contextlib.ExitStack() as ttys:
        for serial in boards:
            ttys.enter_context(grabbed(tty_node(serial), exclusively=False))

        outcome = run_suite(tmp_path, TALKS)["test_talks"]

    assert (outcome.result, "holds it" in outcome.message) == ("failed", True), outcome.message


@pytest.mark.usefixtures("rule")
def test_a_grabber_like_modem_manager_is_found_in_the_same_way(
    boards: tuple[str, ...], tmp_path: Path
) -> None:
    with contextlib.ExitStack() as ttys:
        for serial in boards:
            ttys.enter_context(grabbed(tty_node(serial), exclusively=True))

        outcome = run_suite(tmp_path, TALKS, user=INSIDER)["test_talks"]

    assert (outcome.result, "fuser -v" in outcome.message) == ("failed", True), outcome.message
