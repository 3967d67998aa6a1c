"""Waiting for a pattern in the transcript, where `expect` still finds it."""

from __future__ import annotations

from hil.dutlink.console.expect import Expected
from hil.dutlink.console.pattern_wait import wait_for_pattern
from hil.dutlink.console.transcript import Transcript


def test_wait_for_pattern_ignores_bytes_before_its_begin() -> None:
    transcript = Transcript()
    transcript.append(b"old login: ")
    begin = transcript.position
    transcript.append(b"new log")
    transcript.append(b"in: ")

    found = wait_for_pattern(transcript, begin, "login: ", 0.0, lambda: False, check_silent=lambda: None)

    assert isinstance(found, Expected)
    assert found.before == b"new "


def test_wait_for_pattern_ends_if_the_console_is_gone() -> None:
    transcript = Transcript()
    transcript.append(b"half a lo")

    assert (
        wait_for_pattern(transcript, 0, "login: ", 1e9, lambda: True, check_silent=lambda: None)
        == b"half a lo"
    )


def test_wait_for_pattern_keeps_no_more_bytes_than_expect() -> None:
    transcript = Transcript()
    for _ in range(20):
        transcript.append(b"x" * (1 << 20))

    unmatched = wait_for_pattern(transcript, 0, "login: ", 0.3, lambda: False, check_silent=lambda: None)

    assert isinstance(unmatched, bytes)
    assert len(unmatched) <= 8 << 20
