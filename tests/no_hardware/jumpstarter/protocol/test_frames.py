"""Frames survive a stream that is cut into pieces of any size."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hil.errors import BoardReplyError
from hil.jumpstarter.protocol.frames import Frame, FrameDecoder, FrameKind, Transfer

words = st.integers(0, 0xFFFF)
octets = st.integers(0, 0xFF)
frames = st.builds(Frame, st.sampled_from(FrameKind), st.integers(0, 2**32 - 1), st.binary(max_size=300))

numbers = (words, words, octets, octets, words, words, words, st.integers(0, 2**32 - 1))
transfers = st.builds(Transfer, *numbers, st.binary(max_size=99))


@given(st.lists(frames, max_size=5), st.integers(1, 50))
def test_frame_decoder_returns_the_frames_of_any_pieces(said: list[Frame], step: int) -> None:
    stream = b"".join(frame.to_bytes() for frame in said)
    taking, heard = FrameDecoder(), []

    for at in range(0, len(stream), step):
        heard += taking.feed(stream[at : at + step])

    assert heard == said


@given(transfers)
def test_transfer_survives_to_bytes_and_from_bytes(transfer: Transfer) -> None:
    assert Transfer.from_bytes(transfer.to_bytes()) == transfer


@given(st.integers(-(2**31), 2**31 - 1), st.binary(max_size=99))
def test_result_survives_packing(status: int, data: bytes) -> None:
    assert Frame.result(7, status, data).status_and_data == (status, data)


@pytest.mark.parametrize("garbage", [b"\xff" * 9, bytes([1, 0, 0, 0, 0, 255, 255, 255, 255])])
def test_frame_decoder_refuses_bytes_that_are_no_frames(garbage: bytes) -> None:
    with pytest.raises(BoardReplyError, match="garbled"):
        list(FrameDecoder().feed(garbage))
