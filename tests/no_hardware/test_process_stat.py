"""`/proc/PID/stat`: whatever the process is called, and whether it still exists."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from hil.process_stat import ProcessStat, ancestors, process_stat

if TYPE_CHECKING:
    from pathlib import Path


def test_process_stat_tells_parent_and_a_start_that_stays() -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        first, second = process_stat(child.pid), process_stat(child.pid)
        child.communicate(b"\n")

    assert first is not None
    assert second is not None
    assert first.parent == os.getpid()
    assert first.started == second.started > 0


def test_process_stat_tells_an_ended_child_from_one_that_is_gone() -> None:
    child = subprocess.Popen(["true"])
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    ended = process_stat(child.pid)
    child.wait()

    assert ended is not None
    assert ended.has_ended
    assert process_stat(child.pid) is None


@pytest.mark.parametrize("name", ["sh", "a b", ") R 1 (", "é\n)"])
def test_process_stat_is_not_misled_by_a_process_name(tmp_path: Path, name: str) -> None:
    (tmp_path / "7").mkdir()
    (tmp_path / "7" / "stat").write_text(f"7 ({name}) T 5 {'0 ' * 17}99 0\n")

    stat = process_stat(7, tmp_path)

    assert stat == ProcessStat("T", 5, 99)
    assert stat.is_stopped


def test_ancestors_are_told_up_to_one_that_is_hidden(tmp_path: Path) -> None:
    for pid, parent in ((9, 7), (7, 5)):
        (tmp_path / str(pid)).mkdir()
        (tmp_path / str(pid) / "stat").write_text(f"{pid} (sh) S {parent} {'0 ' * 17}99 0\n")

    assert ancestors(9, tmp_path) == [7, 5]
