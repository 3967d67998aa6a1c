"""Events that wait for a slow thread take bounded memory, and the gap is told."""

from __future__ import annotations

from queue import Empty

import pytest

from hil.dutlink.console.queues import EventQueue
from hil.dutlink.console.transcript import Chunk, Mark


def everything(queue: EventQueue[str]) -> list[object]:
    taken: list[object] = []
    try:
        while True:
            taken.append(queue.get(block=False))
    except Empty:
        return taken


GAP = Mark(1.0, 2.0, "8000 bytes are missing here: they came faster than they could be kept", 10_000)


@pytest.fixture
def flooded() -> EventQueue[str]:
    queue: EventQueue[str] = EventQueue(most_bytes=3000)
    for position in range(0, 10_000, 1000):
        queue.put(Chunk(1.0, 2.0, b"x" * 1000, position))
    return queue


def test_event_queue_drops_chunks_beyond_its_bound_and_notes_the_gap_once_there_is_room(
    flooded: EventQueue[str],
) -> None:
    before = everything(flooded)
    flooded.put(Chunk(3.0, 4.0, b"again", 10_000))

    after = everything(flooded)

    assert [getattr(event, "position", event) for event in before] == [0, 1000]
    assert after == [GAP, Chunk(3.0, 4.0, b"again", 10_000)]


def test_event_queue_notes_the_gap_before_an_order(flooded: EventQueue[str]) -> None:
    flooded.put_order("the end")

    assert everything(flooded)[2:] == [GAP, "the end"]


def test_event_queue_notes_the_gap_if_nothing_follows(flooded: EventQueue[str]) -> None:
    flooded.tell_missing()
    flooded.tell_missing()

    assert everything(flooded)[2:] == [GAP]


def test_event_queue_counts_the_overhead_of_short_chunks() -> None:
    queue: EventQueue[str] = EventQueue(most_bytes=100_000)
    for position in range(10_000):
        queue.put(Chunk(1.0, 2.0, b"x", position))

    assert len(everything(queue)) < 500


def test_event_queue_never_drops_a_note() -> None:
    queue: EventQueue[str] = EventQueue(most_bytes=0)
    notes = [Mark(1.0, 2.0, str(number)) for number in range(100)]
    for note in notes:
        queue.put(note)

    assert everything(queue) == notes
