from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from hil.dutlink.byte_stream import ByteStream
from hil.dutlink.transcript import Transcript


@given(st.lists(st.binary(min_size=1, max_size=20)))
def test_a_transcript_keeps_the_newest_bytes_and_counts_the_rest(pieces: list[bytes]) -> None:
    transcript = Transcript(kept_bytes=50)
    for piece in pieces:
        transcript.append(piece)

    everything = b"".join(pieces)

    assert everything.endswith(transcript.data)
    assert len(transcript) == len(transcript.data) <= 50
    assert transcript.dropped_bytes + len(transcript) == len(everything)


def test_what_is_put_back_comes_first_again() -> None:
    stream = ByteStream()
    stream.feed(b"two")

    stream.put_back(b"one ")

    assert stream.take(0) == b"one two"
