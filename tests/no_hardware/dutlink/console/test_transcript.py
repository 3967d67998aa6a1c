from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from hil.dutlink.console import transcript
from hil.dutlink.console.queues import ByteStream
from hil.dutlink.console.transcript import Transcript

if TYPE_CHECKING:
    import pytest


@given(st.lists(st.binary(min_size=1, max_size=20)))
def test_transcript_keeps_the_newest_bytes_and_counts_the_rest(pieces: list[bytes]) -> None:
    kept = Transcript(kept_bytes=50)
    for piece in pieces:
        kept.append(piece)

    everything = b"".join(pieces)

    assert everything.endswith(kept.data)
    assert len(kept) == len(kept.data) <= 50
    assert kept.dropped_bytes + len(kept) == len(everything)


def test_transcript_bounds_the_number_of_chunks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(transcript, "_KEPT_CHUNKS", 10)
    bytewise = Transcript()
    for _ in range(100):
        bytewise.append(b"x")

    assert (len(bytewise), bytewise.dropped_bytes) == (10, 90)


def test_put_back_bytes_come_first() -> None:
    stream = ByteStream()
    stream.feed(b"two")

    stream.put_back(b"one ")

    assert stream.take(0) == b"one two"
