"""A DUT's login with a difficulty: `python awkward_getty.py KIND`."""

from __future__ import annotations

import sys
import termios
import time

MOTD = "Price: 5 $ or # 7. To login: ask. Password: expires. Permission denied to none.\nLast login: today\n"
BOOT = """U-Boot SPL 2021.04
## Flattened Device Tree blob at 43000000
## Loading kernel at 40080000
"""


def say(text: str, pause_s: float = 0.0) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()
    time.sleep(pause_s)


def ask(prompt: str, *, echo: bool = True, after: str = "") -> str:
    say(prompt)
    say(after)
    attributes = termios.tcgetattr(0)
    attributes[3] = attributes[3] | termios.ECHO if echo else attributes[3] & ~termios.ECHO
    termios.tcsetattr(0, termios.TCSANOW, attributes)
    line = sys.stdin.readline().rstrip("\n")
    if not echo:
        say("\n")
    return line


def shell() -> None:
    status = 0
    while True:
        line = ask("root@dut:~# ")
        say(
            line[5:].replace("$?", str(status)) + "\n"
            if line.startswith("echo ")
            else f"sh: {line}?\n" * bool(line)
        )
        status = 0


def log_in(kind: str) -> bool:
    kernel = "[   12.345678] random: crng init done\n" if kind == "kernel" else ""
    user = ask("dut login: ", after=kernel)
    if kind == "no password":
        return user == "root"
    if not user:
        return False
    if kind == "loses the first name" and user == "root" and not lost:
        lost.append(user)
        return False
    word = ask("Password: ", echo=False, after=kernel)
    if (user, word) != ("root", "hil"):
        say("", 0.5)
        say("Login incorrect\n\n")
        return False
    return True


lost: list[str] = []


def main(kind: str) -> None:
    if kind == "boots":
        say(BOOT, 1.0)
        say("[    0.000000] Linux\n", 0.3)
    if kind == "is logged in":
        shell()
    if kind == "asks for a password already":
        ask("Password: ", echo=False)
        say("Login incorrect\n")
    if kind == "logs in by itself":
        say("dut login: root (automatic login)\n\n")
    else:
        while not log_in(kind):
            pass
    say(MOTD, 0.1)
    shell()


if __name__ == "__main__":
    main(sys.argv[1])
