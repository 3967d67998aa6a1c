# ruff: noqa: F401 - what a test writes follows
import os
import select
import sys
import termios
import time


def out(text):
    sys.stdout.write(text)
    sys.stdout.flush()


def mode(**flags):
    attributes = termios.tcgetattr(0)
    for name, on in flags.items():
        bit = getattr(termios, name)
        attributes[3] = attributes[3] | bit if on else attributes[3] & ~bit
    termios.tcsetattr(0, termios.TCSANOW, attributes)


def ask(prompt, echo=True):
    out(prompt)
    mode(ECHO=echo)
    line = sys.stdin.readline().strip()
    mode(ECHO=True)
    if not echo:
        out("\n")
    return line


def log_in(password="Password: "):  # noqa: S107 - a prompt
    if ask("dut login: ") == "root":
        ask(password, echo=False)


def shell():
    while ask("root@dut:~# ") is not None:
        pass


def countdown():
    mode(ICANON=False, ECHO=False)
    out("Hit any key to stop autoboot:  3")
    for left in (2, 1, 0):
        if select.select([0], [], [], 0.3)[0]:
            while True:
                out("\n=> ")
                os.read(0, 99)
        out(f"\b\b\b{left:2d} ")
    mode(ICANON=True, ECHO=True)


def boot():
    out("\nStarting kernel ...\n[    0.000000] Linux\n")
