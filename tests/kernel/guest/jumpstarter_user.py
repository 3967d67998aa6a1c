"""Uses a board as Jumpstarter's own users do, and prints what came of it as one JSON object.

It runs in an environment of its own, with Jumpstarter's packages and none of this project's. Its console part
pauses before the first command after Ctrl-B: what arrives in one read with the fifth Ctrl-B goes to the DUT
(firmware: main.rs), which makes the driver's own published console test a race.
"""

from __future__ import annotations

import argparse
import json
import time
from typing import Any

from jumpstarter.common.utils import serve
from jumpstarter_driver_dutlink.driver import Dutlink

LIMIT_S = 30
PAUSE_S = 0.5
SETTLE_S = 2.5
"""The board's meter averages over two seconds."""


def main() -> None:
    """Do everything, in the order of a user's day."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("serial")
    parser.add_argument("stick")
    parser.add_argument("image")
    options = parser.parse_args()
    driver = Dutlink(serial=options.serial, storage_device=options.stick)
    with serve(driver) as client:
        facts = {
            "shell": talk_to_shell(client.console),
            "flashed": flash_and_boot(client, options.image),
            "typed": log_in(client.console),
            "on": amps(client.power),
        }
        client.power.off()
        facts["off"] = amps(client.power)
        client.power.rescue()
        facts["rescue"] = see(client.console, "rescue> ")
        client.power.off()
        client.storage.off()
    print(json.dumps(facts))  # noqa: T201 - read by the test


def amps(power: Any) -> float:
    """The current, once the meter's average has settled."""
    time.sleep(SETTLE_S)
    return float(next(power.read()).current)


def flash_and_boot(client: Any, image: str) -> str:
    """Write the image with Jumpstarter's own writer, switch on; returns what the DUT says that it boots."""
    client.storage.flash(image)
    with client.console.pexpect() as expect:
        client.power.on()
        expect.expect(rb"image: (\S+)", timeout=LIMIT_S)
        booted = expect.match.group(1).decode()
        expect.expect(b"login: ", timeout=LIMIT_S)
    return str(booted)


def log_in(console: Any) -> str:
    """Type, and return what the DUT answers."""
    with console.pexpect() as expect:
        expect.send(b"\r")
        expect.expect(b"login: ", timeout=LIMIT_S)
        expect.send(b"root\r")
        expect.expect(b"Password: ", timeout=LIMIT_S)
        expect.send(b"hil\r")
        expect.expect(b"# ", timeout=LIMIT_S)
        expect.send(b"uname -a\r")
        expect.expect(rb"(Linux [^\r]*)\r", timeout=LIMIT_S)
        return str(expect.match.group(1).decode())


def see(console: Any, text: str) -> bool:
    """Whether the DUT says it in time."""
    with console.pexpect() as expect:
        expect.send(b"\r")
        return bool(expect.expect([text.encode(), expect_timeout()], timeout=LIMIT_S) == 0)


def expect_timeout() -> Any:
    """Pexpect's pattern for "nothing came"."""
    import pexpect  # noqa: PLC0415 - Jumpstarter brings it along

    return pexpect.TIMEOUT


def talk_to_shell(console: Any) -> str:
    """Ask the board's shell who it is, and go back to the console."""
    with console.pexpect() as expect:
        expect.send(b"\x02" * 5)
        expect.expect(b"#> ", timeout=LIMIT_S)
        time.sleep(PAUSE_S)
        expect.send(b"about\r\n")
        expect.expect(rb"(Jumpstarter test-harness)", timeout=LIMIT_S)
        said = expect.match.group(1).decode()
        expect.send(b"console\r\n")
        expect.expect(b"Entering console mode", timeout=LIMIT_S)
    return str(said)


if __name__ == "__main__":
    main()
