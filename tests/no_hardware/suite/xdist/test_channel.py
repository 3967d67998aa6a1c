"""The line between a controller and its workers."""

from __future__ import annotations

import os
import socket
import stat
import subprocess
import sys
import threading
from typing import TYPE_CHECKING

import pytest

from hil.boards.requirements import BoardRequirement
from hil.suite.xdist import json_socket
from hil.suite.xdist.channel import ControllerChannel
from hil.suite.xdist.json_socket import JsonSocket
from hil.suite.xdist.worker_channel import WorkerChannel
from tests.support.programs import running

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

LIMIT_S = 60.0


def nothing() -> None:
    pass


@pytest.fixture
def controller() -> Generator[ControllerChannel]:
    channel = ControllerChannel()
    yield channel
    channel.close()


@pytest.fixture
def worker(controller: ControllerChannel) -> Generator[WorkerChannel]:
    channel = WorkerChannel(controller.path, "gw0", nothing)
    channel.send_requirements([])
    assert controller.requirements("gw0") == []
    yield channel
    channel.close()


def test_requirements_arrive_in_order(controller: ControllerChannel) -> None:
    channel = WorkerChannel(controller.path, "gw0", nothing)
    requirements = [None, BoardRequirement(), BoardRequirement(frozenset({"wifi", "emmc"}), "bench-2")]
    channel.send_requirements(requirements)

    assert controller.requirements("gw0") == requirements
    channel.close()


def test_requirements_of_a_large_collection_arrive(
    controller: ControllerChannel, worker: WorkerChannel
) -> None:
    assert worker.schedules
    requirements = [BoardRequirement(frozenset({f"tag-{number}"}), "board") for number in range(20_000)]
    other = WorkerChannel(controller.path, "gw1", nothing)
    other.send_requirements(requirements)

    assert controller.requirements("gw1") == requirements
    assert controller.requirements("gw0") == []
    other.close()


def test_requirements_of_a_silent_worker_are_not_waited_for_longer_than_the_limit(
    controller: ControllerChannel,
) -> None:
    assert controller.requirements("gw9", limit_s=0.01) is None


def test_board_is_known_to_its_worker_at_once(controller: ControllerChannel, worker: WorkerChannel) -> None:
    for number in range(200):
        controller.tell_board("gw0", f"test_{number}", "a")
        assert worker.board(f"test_{number}") == "a"


def test_waited_s_is_known_to_earlier_and_later_workers(
    controller: ControllerChannel, worker: WorkerChannel
) -> None:
    controller.tell_waited(2.5)
    later = WorkerChannel(controller.path, "gw1", nothing)
    later.send_requirements([])
    assert controller.requirements("gw1") == []

    assert (worker.waited_s(), later.waited_s()) == (2.5, 2.5)
    later.close()


def test_states_of_images_are_those_of_the_first_worker(
    controller: ControllerChannel, worker: WorkerChannel
) -> None:
    later = WorkerChannel(controller.path, "gw1", nothing)
    first = worker.agree("images", {"/dut.img": [[1, 2, 3, 4]]})

    assert later.agree("images", {"/dut.img": [[1, 2, 3, 5]]}) == first
    later.close()


def test_agreement_on_one_topic_says_nothing_of_another(worker: WorkerChannel) -> None:
    worker.agree("digest of dut.img", "2e9a")

    assert worker.agree("digest of rescue.img", "a439") == "a439"


def test_way_to_a_remote_board_is_known_to_its_worker(
    controller: ControllerChannel, worker: WorkerChannel
) -> None:
    controller.tell_board("gw0", "test_1", "a", "by that lease")
    controller.tell_board("gw0", "test_2", "b")

    assert worker.board("test_2") == "b"
    assert (worker.way_to("a"), worker.way_to("b")) == ("by that lease", "")


def test_board_of_a_test_that_was_given_none_is_none(
    controller: ControllerChannel, worker: WorkerChannel
) -> None:
    controller.tell_board("gw0", "test_1", "a")
    controller.tell_board("gw0", "test_1", None)

    assert worker.board("test_1") is None
    assert worker.board("test_2") is None


def test_is_last_hardware_is_true_for_the_test_that_was_told(
    controller: ControllerChannel, worker: WorkerChannel
) -> None:
    controller.tell_last("gw0", "test_1")

    assert worker.is_last_hardware("test_1")
    assert not worker.is_last_hardware("test_2")


def test_is_last_hardware_is_false_for_a_test_that_is_sent_again(
    controller: ControllerChannel, worker: WorkerChannel
) -> None:
    controller.tell_last("gw0", "test_1")
    controller.tell_board("gw0", "test_1", "a")

    assert not worker.is_last_hardware("test_1")


def test_take_lost_returns_a_board_at_once_and_once(
    controller: ControllerChannel, worker: WorkerChannel
) -> None:
    worker.lost("a")

    assert controller.take_lost() == ["a"]
    assert controller.take_lost() == []


def test_tell_board_does_nothing_for_a_worker_that_has_ended(
    controller: ControllerChannel, worker: WorkerChannel
) -> None:
    worker.close()
    for _ in range(3):
        controller.tell_last("gw0", "test_1")
    controller.tell_last("gw7", "test_1")


def test_worker_channel_notices_that_its_controller_was_killed(tmp_path: Path) -> None:
    source = "from hil.suite.xdist.channel import ControllerChannel as X; print(X().path, flush=1); input()"
    with running(
        [sys.executable, "-c", source],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"TMPDIR": str(tmp_path)},
    ) as controller:
        path = controller.stdout.readline().strip()
        gone = threading.Event()
        worker = WorkerChannel(path, "gw0", gone.set)
        controller.kill()

        assert gone.wait(LIMIT_S)
        assert list(tmp_path.iterdir()) == []
        worker.close()


def test_close_of_a_worker_channel_is_no_end_of_the_controller(controller: ControllerChannel) -> None:
    gone = threading.Event()
    worker = WorkerChannel(controller.path, "gw0", gone.set)
    worker.close()

    assert not gone.wait(0.05)


def test_controller_channel_has_a_private_folder_and_removes_it() -> None:
    channel = ControllerChannel()
    mode = stat.S_IMODE(channel.path.parent.stat().st_mode)
    channel.close()

    assert mode == 0o700
    assert not channel.path.parent.exists()


def test_controller_channel_has_a_short_path_in_a_long_temporary_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    long = tmp_path / ("x" * 120)
    long.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(long))
    channel = ControllerChannel()
    channel.close()

    assert len(str(channel.path)) < 108
    assert list(long.iterdir()) == []


def test_json_socket_ends_when_an_object_is_too_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_socket, "LONGEST_BYTES", 1 << 20)
    here, there = socket.socketpair()
    gone = threading.Event()
    line = JsonSocket(here, lambda _: None, gone.set)
    with there:
        try:
            while not gone.is_set():
                there.sendall(b"[" * 65536)
        except (BrokenPipeError, ConnectionResetError):
            pass
        assert gone.wait(LIMIT_S)
    line.close()
