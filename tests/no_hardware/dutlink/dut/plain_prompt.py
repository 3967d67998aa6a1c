"""A prompt that knows `echo` and `$?` and nothing else, as U-Boot's simple parser does."""

from __future__ import annotations

import sys


def main(prompt: str) -> None:
    status = 0
    while True:
        sys.stdout.write(prompt)
        sys.stdout.flush()
        for command in sys.stdin.readline().strip().split(";"):
            word, _, rest = command.strip().partition(" ")
            if word == "echo":
                sys.stdout.write(rest.replace("$?", str(status)) + "\n")
                status = 0
            elif word:
                sys.stdout.write(f"Unknown command '{word}' - try 'help'\n")
                status = 1


if __name__ == "__main__":
    main(sys.argv[1])
