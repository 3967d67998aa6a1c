"""Waiting for a command: a signal is handled although it does not wake the main thread."""

from __future__ import annotations

import signal
import subprocess
import threading
from typing import TYPE_CHECKING

from hil.dutlink.timing import Deadline
from hil.lab.processes.supervise import wait_and_handle_signals

if TYPE_CHECKING:
    from collections.abc import Iterator

import pytest

SLEEP_S = 30


@pytest.fixture
def process() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(["sleep", str(SLEEP_S)]) as started:
        yield started
        started.kill()


@pytest.fixture
def handled(process: subprocess.Popen[bytes]) -> Iterator[list[int]]:
    numbers: list[int] = []

    def handle(number: int, _frame: object) -> None:
        numbers.append(number)
        process.terminate()

    before = signal.signal(signal.SIGUSR1, handle)
    yield numbers
    signal.signal(signal.SIGUSR1, before)


def test_wait_handles_a_signal_that_another_thread_gets(
    process: subprocess.Popen[bytes], handled: list[int]
) -> None:
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})

    def get_the_signal() -> None:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGUSR1})
        signal.pthread_kill(threading.get_ident(), signal.SIGUSR1)

    began = Deadline(SLEEP_S / 2)
    sender = threading.Timer(0.2, get_the_signal)  # the main thread waits by then
    sender.start()
    try:
        status = wait_and_handle_signals(process)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        sender.join()

    assert (status, handled) == (-signal.SIGTERM, [signal.SIGUSR1])
    assert not began.passed


def test_wait_returns_the_exit_code() -> None:
    with subprocess.Popen(["sh", "-c", "exit 7"]) as ended:
        assert wait_and_handle_signals(ended) == 7


def test_wait_returns_the_exit_code_of_a_process_that_was_reaped() -> None:
    with subprocess.Popen(["sh", "-c", "exit 7"]) as ended:
        ended.wait()

        assert wait_and_handle_signals(ended) == 7
