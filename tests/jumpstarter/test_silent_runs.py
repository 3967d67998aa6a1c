"""Clients that send nothing, or half a frame, keep neither the board nor a thread of the exporter."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from anyio import EndOfStream, create_task_group
from jumpstarter.streams.common import create_memory_stream

from hil.jumpstarter.exporter.base_driver import AccessQueue
from hil.jumpstarter.exporter.session import ExporterSession
from hil.jumpstarter.exporter.stick_stream import StickStream
from hil.jumpstarter.protocol import heartbeat
from hil.jumpstarter.protocol.frames import Frame, FrameDecoder, FrameKind

TENANT: Any = SimpleNamespace(serial="5a1c0e01", exported=SimpleNamespace(usb=None))


@pytest.fixture(autouse=True)
def _short_silence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heartbeat, "RUN_TIMEOUT_S", 1)
    monkeypatch.setattr(heartbeat, "CHUNK_TIMEOUT_S", 1)


@pytest.mark.parametrize("said", [b"", Frame(FrameKind.HELLO).to_bytes()[:-1]], ids=["silent", "half"])
def test_session_ends_without_a_hello(said: bytes) -> None:
    access_queue = AccessQueue()

    async def serve() -> None:
        theirs, ours = create_memory_stream()
        async with theirs, ours, create_task_group() as tasks:
            tasks.start_soon(ExporterSession(ours, TENANT, access_queue, {}).serve)
            if said:
                await theirs.send(said)
            with pytest.raises(EndOfStream):
                await theirs.receive()

    asyncio.run(asyncio.wait_for(serve(), 60))
    assert not access_queue.refusal()


@pytest.mark.parametrize("begun", [False, True], ids=["silent", "silent after it began"])
def test_stick_stream_ends_its_thread_when_the_run_is_silent(begun: bool) -> None:
    async def serve() -> list[Frame]:
        theirs, ours = create_memory_stream()
        async with theirs, ours, create_task_group() as tasks:
            tasks.start_soon(StickStream(ours, TENANT, "").serve)
            if begun:
                await theirs.send(Frame.with_json(FrameKind.BEGIN, {"pieces": 5}).to_bytes())
            return list(FrameDecoder().feed(await theirs.receive()))
        raise AssertionError

    (frame,) = asyncio.run(asyncio.wait_for(serve(), 60))

    assert (frame.kind, frame.json["what"]) == (FrameKind.FAILED, "nothing was heard of the run")
