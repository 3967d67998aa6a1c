"""Named pipes, sockets, folders and endless devices under a user's paths are refused at once."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from hil.cli.commands.console_output import RawFileSink, TimestampedFileSink
from hil.cli.history_options import open_history
from hil.dutlink.power.model import Sample
from hil.dutlink.power.trace import PowerTrace
from hil.errors import HilError, HistoryError
from hil.evidence.console_slices import RunConsoles
from hil.evidence.run_folder import EvidenceFolder
from hil.history.sqlite import copy_database
from hil.history.store import History
from hil.lab.enroll.lab_file_editor import LabFileEditor
from hil.nightly.run_folder import newest_record
from hil.regular_file import check_folder, nonblocking_opener
from hil.report.page_of_test_in_run import _read as read_trace
from hil.report.transcript import read_console_view
from tests.support.made_up import READ_FILES

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.mark.parametrize("to_read", [False, True])
def test_history_refuses_what_is_no_file(no_file: Path, to_read: bool) -> None:
    with pytest.raises(HistoryError, match="it is a "):
        History(no_file, to_read=to_read)


@pytest.mark.parametrize("device", ["/dev/null", "/dev/zero", "/dev/full"])
def test_history_refuses_a_device(device: str) -> None:
    with pytest.raises(HistoryError, match="it is a device"):
        History(Path(device))


def test_history_is_not_merged_from_what_is_no_file(no_file: Path) -> None:
    with pytest.raises(HistoryError, match="it is a "):
        copy_database(no_file, Path("copied"))


def test_opened_history_does_not_call_it_a_run_that_is_missing(no_file: Path) -> None:
    with pytest.raises(HistoryError, match="it is a "):
        open_history(no_file)


def test_lab_edit_refuses_what_is_no_file(no_file: Path) -> None:
    with pytest.raises(HilError, match="it is a "):
        LabFileEditor(no_file)


@pytest.mark.parametrize("open_it", [RawFileSink, lambda path: TimestampedFileSink(path, "title")])
def test_console_file_is_refused_where_nothing_would_take_its_bytes(
    no_file: Path, open_it: Callable[[Path], object]
) -> None:
    with pytest.raises(OSError, match=r"it is a (named pipe|socket)|Is a directory"):
        open_it(no_file)


@pytest.mark.parametrize("name", ["it.svg", "it.csv"])
def test_power_trace_is_not_written_to_a_named_pipe_that_nothing_reads(tmp_path: Path, name: str) -> None:
    os.mkfifo(tmp_path / name)
    trace = PowerTrace([Sample(at, at, 5.0, 1.0, 5.0) for at in (0.0, 1.0, 2.0)], ended_s=2.0)
    write = trace.plot if name.endswith("svg") else trace.to_csv

    with pytest.raises(OSError, match="named pipe, and nothing is at its other end"):
        write(tmp_path / name)


def test_at_once_takes_a_named_pipe_that_is_read_and_devices(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    reader = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    try:
        with open(tmp_path / "pipe", "wb", opener=nonblocking_opener) as file:
            file.write(b"words")
        assert os.read(reader, 100) == b"words"
    finally:
        os.close(reader)
    with open("/dev/null", "wb", opener=nonblocking_opener) as file:
        assert os.get_blocking(file.fileno())


def test_nonblocking_opener_takes_a_terminal() -> None:
    ours, terminal = os.openpty()
    try:
        with open(os.ttyname(terminal), "wb", buffering=0, opener=nonblocking_opener) as file:
            file.write(b"words")
        assert os.read(ours, 100) == b"words"
    finally:
        os.close(ours)
        os.close(terminal)


@pytest.mark.parametrize("open_it", [RawFileSink, lambda path: TimestampedFileSink(path, "title")])
def test_console_file_is_not_written_to_a_device_that_is_no_terminal(
    open_it: Callable[[Path], object],
) -> None:
    with pytest.raises(OSError, match="it is a device, and no terminal"):
        open_it(Path("/dev/zero"))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may make device nodes")
def test_nonblocking_opener_does_not_open_a_disk(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    os.mknod(disk, stat.S_IFBLK | 0o600, os.makedev(7, 250))

    with pytest.raises(OSError, match="it is a block device"):
        nonblocking_opener(str(disk), os.O_WRONLY)


def test_nonblocking_opener_makes_a_file_as_open_does(tmp_path: Path) -> None:
    with open(tmp_path / "new", "w", encoding="utf-8", opener=nonblocking_opener) as file:
        file.write("words")
    (tmp_path / "plain").write_text("words")

    assert (tmp_path / "new").read_text() == "words"
    assert (tmp_path / "new").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_folders_of_runs_with_named_pipes_are_read_without_waiting(tmp_path: Path) -> None:
    (tmp_path / "tests").mkdir()
    (tmp_path / "2026-11-23T013000Z").mkdir()
    for name in READ_FILES:
        os.mkfifo(tmp_path / name)
    folder = EvidenceFolder(tmp_path)

    assert folder.run() is None
    assert not folder.tests("")
    assert newest_record(tmp_path) is None
    assert read_trace(tmp_path / "a.json") is None
    assert read_console_view(RunConsoles(tmp_path, ""), "a") is None


def test_check_folder_takes_a_folder_and_a_path_where_nothing_is(tmp_path: Path) -> None:
    check_folder(tmp_path)
    check_folder(tmp_path / "later" / "still")


@pytest.mark.parametrize("below", ["", "later/still"])
def test_check_folder_refuses_what_is_no_folder_there_and_above(tmp_path: Path, below: str) -> None:
    os.mkfifo(tmp_path / "pipe")

    with pytest.raises(NotADirectoryError, match="Not a directory" if below else "it is a named pipe"):
        check_folder(tmp_path / "pipe" / below)
