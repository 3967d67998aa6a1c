"""Wait for a pattern in the transcript, which leaves the bytes to `expect` and `login`."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Final

from hil.dutlink.console.expect import KEPT_BYTES, Expected
from hil.dutlink.patterns.incremental_match import IncrementalPattern, compile_patterns
from hil.dutlink.timing import Deadline

if TYPE_CHECKING:
    import re
    from collections.abc import Callable

    from hil.dutlink.console.transcript import Transcript
    from hil.dutlink.patterns.incremental_match import Pattern

__all__ = ["wait_for_pattern"]

_LOOK_EVERY_S: Final = 0.5
"""How often to check whether the console is still there, in seconds."""


QUIET_S: Final = 2.0
"""Seconds after which a silent DUT may wait at a prompt."""


def wait_for_pattern(  # noqa: PLR0913 - what ends such a wait
    transcript: Transcript,
    begin: int,
    pattern: Pattern,
    timeout_s: float,
    gone: Callable[[], bool],
    *,
    check_silent: Callable[[], None],
) -> Expected | bytes:
    """Wait for a pattern in the bytes since a position of the transcript.

    Args:
        transcript: The transcript of an open console.
        begin: The position.
        pattern: The pattern.
        timeout_s: How long to wait, in seconds.
        gone: Returns True if no more bytes will come.
        check_silent: Called while the DUT is silent; raises an error if it waits for a person.

    Returns:
        The match; or all bytes since the position if the time is over or the console went away.
    """
    has_news = threading.Event()
    end = transcript.listen(lambda _event: has_news.set())
    (compiled,), haystack, deadline = compile_patterns(pattern), bytearray(), Deadline(timeout_s)
    incremental, quiet = IncrementalPattern(compiled), Deadline(QUIET_S)
    try:
        while True:
            has_news.clear()
            last = gone() or deadline.passed
            for chunk in transcript.chunks_between(begin):
                haystack += chunk.data
                begin, quiet = chunk.end, Deadline(QUIET_S)
            if span := incremental.search(haystack):
                return _expected(compiled, bytes(haystack), span[0])
            if last:
                return bytes(haystack)
            if quiet.passed:
                check_silent()
                quiet = Deadline(QUIET_S)
            surplus = len(haystack) - KEPT_BYTES
            if surplus > KEPT_BYTES:
                del haystack[:surplus]
                incremental.drop_front(surplus)
            has_news.wait(min(_LOOK_EVERY_S, deadline.left_s))
    finally:
        end()


def _expected(pattern: re.Pattern[bytes], haystack: bytes, begin: int) -> Expected:
    match = pattern.match(haystack, begin)
    if match is None:  # pragma: no cover  # it was found here a moment ago
        raise AssertionError(pattern)
    return Expected(0, match, haystack[:begin])
