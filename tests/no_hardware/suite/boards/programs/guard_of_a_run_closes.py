"""A test that closes files of hil, as `os.closerange` does, and opens others, which get their numbers."""

import os
import socket
from contextlib import suppress
from pathlib import Path

from hil.errors import HilError

KIND = globals().get("KIND", "both")
OPENED = []


def close_files_of_hil():
    for number in sorted(int(link.name) for link in Path("/proc/self/fd").iterdir()):
        with suppress(FileNotFoundError):
            is_lock = "hil-board-" in os.readlink(f"/proc/self/fd/{number}")
            if (is_lock and KIND != "socket") or (is_line_to_guard(number) and KIND != "lock"):
                os.close(number)


def is_line_to_guard(number):
    if not os.readlink(f"/proc/self/fd/{number}").startswith("socket:"):
        return False
    with socket.socket(fileno=os.dup(number)) as copy:
        return copy.family == socket.AF_UNIX


def test_closes(power):
    power.force_on()
    close_files_of_hil()
    OPENED.extend(Path(f"mine{number}").open("w+") for number in range(6))
    for act in (power.read, power.force_on):
        try:
            act()
        except HilError as error:
            with Path("told").open("a") as told:
                told.write(f"{type(error).__name__}\n")


def test_next(power):
    power.force_on()
