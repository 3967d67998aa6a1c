"""The simulated DUT's `printf`, as in POSIX, with `%s`, `%d`, `%b` and `%%`."""

from __future__ import annotations

import re
from typing import Final

__all__ = ["printf"]

_ESCAPE: Final = re.compile(r"\\(?:([0-7]{1,3})|(.))", re.DOTALL)
_NAMED: Final = {"n": 10, "r": 13, "t": 9, "a": 7, "b": 8, "f": 12, "v": 11, "\\": 92}
_PIECE: Final = re.compile(r"%[sdb%]|\\[0-7]{1,3}|\\.|[^%\\]+|[%\\]", re.DOTALL)


def printf(form: str, words: list[str]) -> str:
    """Return the output. The format is used again while words are left."""
    output = b""
    left = list(words)
    while True:
        before = len(left)
        for piece in _PIECE.findall(form):
            output += _printed(piece, left)
        if not left or len(left) == before:
            return output.decode(errors="replace").replace("\n", "\r\n")


def _printed(piece: str, left: list[str]) -> bytes:
    match piece:
        case "%%":
            return b"%"
        case "%s":
            return _word(left).encode()
        case "%b":
            return _unescaped(_word(left))
        case "%d":
            return (_word(left) or "0").encode()
        case _:
            return _unescaped(piece)


def _word(left: list[str]) -> str:
    return left.pop(0) if left else ""


def _unescaped(text: str) -> bytes:
    output, end = b"", 0
    for found in _ESCAPE.finditer(text):
        octal, letter = found.groups()
        output += text[end : found.start()].encode()
        output += bytes([int(octal, 8) & 0xFF]) if octal else _named(letter)
        end = found.end()
    return output + text[end:].encode()


def _named(letter: str) -> bytes:
    return bytes([_NAMED[letter]]) if letter in _NAMED else f"\\{letter}".encode()
