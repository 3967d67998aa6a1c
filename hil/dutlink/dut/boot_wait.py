"""Waiting until the DUT is up, without taking anything from those who read its console."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Final

from hil.dutlink.console.expect import KEPT_BYTES, Expected
from hil.dutlink.patterns.incremental_match import Needle, patterns_of
from hil.dutlink.timing import Deadline

if TYPE_CHECKING:
    from collections.abc import Callable

    from hil.dutlink.console.expect import Pattern
    from hil.dutlink.console.transcript import Transcript

__all__ = ["wait_for_words"]

_LOOK_EVERY_S: Final = 0.5
"""How often to see whether the console is still there, in seconds."""


def wait_for_words(
    transcript: Transcript, begin: int, pattern: Pattern, timeout_s: float, gone: Callable[[], bool]
) -> Expected | bytes:
    """Wait for a pattern in what came since a position of the transcript.

    What is found here is still there for `expect` and `login`.

    Args:
        transcript: Of the console, which is open.
        begin: Where to begin.
        pattern: What to wait for.
        timeout_s: How long, in seconds.
        gone: Tells whether nothing more will come.

    Returns:
        The match; or, when the time is over or the console went away, what came instead.
    """
    bell = threading.Event()
    end = transcript.listen(lambda _event: bell.set())
    (wanted,), haystack, deadline = patterns_of(pattern), bytearray(), Deadline(timeout_s)
    needle = Needle(wanted)
    try:
        while True:
            bell.clear()
            last = gone() or deadline.passed
            for chunk in transcript.chunks_between(begin):
                haystack += chunk.data
                begin = chunk.end
            if span := needle.search(haystack):
                return _expected(needle, bytes(haystack), span[0])
            if last:
                return bytes(haystack)
            surplus = len(haystack) - KEPT_BYTES
            if surplus > KEPT_BYTES:
                del haystack[:surplus]
                needle.forget(surplus)
            bell.wait(min(_LOOK_EVERY_S, deadline.left_s))
    finally:
        end()


def _expected(needle: Needle, haystack: bytes, begin: int) -> Expected:
    match = needle.pattern.match(haystack, begin)
    if match is None:  # pragma: no cover  # it was found here a moment ago
        raise AssertionError(needle.pattern)
    return Expected(0, match, haystack[:begin])
