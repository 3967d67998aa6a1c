"""The process that searches with patterns that may take very long; see `hil.dutlink.patterns.search`.

It imports little, so that it starts within milliseconds. The kernel ends it when a search has taken a second
of processor time (`ITIMER_VIRTUAL`, setitimer(2)), even if the process that started it has ended.
"""

import os
import re
import signal
import struct
import sys

LIMIT_S = 1.0
REQUEST = struct.Struct("=IIQQ")
"""Flags, sizes of pattern and data, and the position at which to begin."""

REPLY = struct.Struct("=qq")
"""Where the first match begins and ends; -1 if there is none."""


def _read(size_bytes: int) -> bytes:
    pieces = []
    while size_bytes:
        piece = os.read(0, min(size_bytes, 1 << 20))
        if not piece:
            sys.exit()
        pieces.append(piece)
        size_bytes -= len(piece)
    return b"".join(pieces)


def _serve() -> None:
    while True:
        flags, pattern_bytes, data_bytes, begin = REQUEST.unpack(_read(REQUEST.size))
        # re.DEBUG would print into the replies.
        pattern, data = re.compile(_read(pattern_bytes), flags & ~re.DEBUG), _read(data_bytes)
        signal.setitimer(signal.ITIMER_VIRTUAL, LIMIT_S)
        found = pattern.search(data, begin)
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        os.write(1, REPLY.pack(*(found.span() if found else (-1, -1))))


if __name__ == "__main__":
    _serve()
