"""One session of `hil console`, on a console that hangs while it is to send."""

from __future__ import annotations

import os
import select
import threading
from contextlib import ExitStack
from typing import Any

from hil.cli.console_output import Output
from hil.cli.console_talk import LEAVE, Talk
from hil.dutlink.transcript import Transcript
from hil.errors import ConsoleLostError

LIMIT_S = 60.0


class HangingConsole:
    """Takes nothing until it is lost."""

    def __init__(self) -> None:
        self.transcript = Transcript()
        self.is_lost = threading.Event()
        self.sender: threading.Thread | None = None

    def check(self) -> None:
        """Return."""

    def send(self, _data: bytes) -> None:
        self.sender = threading.current_thread()
        self.is_lost.wait(LIMIT_S)
        raise ConsoleLostError("it is gone", serial="5a1c0e01")


def test_talk_that_has_ended_writes_into_no_file_that_was_opened_since() -> None:
    console: Any = HangingConsole()
    with ExitStack() as stack:
        keys, typed = pipe(stack)
        _, shown = pipe(stack)
        os.write(typed, b"x" + LEAVE)
        Talk(console, [], Output(shown), keys).run()
        later = [pipe(stack)[0] for _ in range(10)]

        console.is_lost.set()
        console.sender.join(LIMIT_S)

        assert select.select(later, [], [], 0)[0] == []


def pipe(stack: ExitStack) -> tuple[int, int]:
    ends = os.pipe()
    for end in ends:
        stack.callback(os.close, end)
    return ends
