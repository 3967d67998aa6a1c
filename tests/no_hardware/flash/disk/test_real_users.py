"""What uses a disk according to the real kernel, on loop devices."""

from __future__ import annotations

import os
import subprocess
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from hil.dutlink.timing import until
from hil.flash.disk.sysfs import BlockDevice, block_device, identity_of
from hil.flash.disk.users import iter_users, used_elsewhere

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="loop devices, swap and mounts are for root")

SYS = Path("/sys")
MIB = 1 << 20


class Loops:
    """Makes loop devices, and undoes what was done with them."""

    def __init__(self, folder: Path, after: ExitStack) -> None:
        self.folder = folder
        self.after = after

    def over(self, path: Path) -> Path:
        """Make a loop device over a file or a device."""
        made = subprocess.run(
            ["losetup", "--find", "--show", path], capture_output=True, text=True, check=False
        )
        if made.returncode:
            pytest.skip(f"no loop device: {made.stderr}")
        node = Path(made.stdout.strip())
        self.after.callback(subprocess.run, ["losetup", "--detach", node], check=True)
        return node

    def disk(self) -> Path:
        """Make a disk that has nothing on it."""
        file = self.folder / "disk.img"
        with file.open("wb") as made:
            made.truncate(16 * MIB)
        return self.over(file)

    def do(self, *command: str | Path, undo: tuple[str | Path, ...] = ()) -> None:
        """Run a command that a container may not be permitted; undo it after the test."""
        ran = subprocess.run(command, capture_output=True, text=True, check=False)
        if ran.returncode:
            pytest.skip(f"{command[0]}: {ran.stderr}")
        if undo:
            self.after.callback(subprocess.run, undo, check=True, capture_output=True)


@pytest.fixture
def loops(tmp_path: Path) -> Iterator[Loops]:
    with ExitStack() as after:
        yield Loops(tmp_path, after)


def listed(node: Path) -> BlockDevice:
    found = block_device(SYS, identity_of(node.stat()))
    assert found is not None
    return found


def told(node: Path) -> list[str]:
    return [use.why for use in iter_users(listed(node), SYS)]


def test_iter_users_of_an_unused_disk_is_empty(loops: Loops) -> None:
    disk = loops.disk()

    assert (told(disk), used_elsewhere(listed(disk))) == ([], None)


def test_iter_users_finds_a_loop_device(loops: Loops) -> None:
    disk = loops.disk()
    above = loops.over(disk)

    assert told(disk) == [f"{above.name} is a loop device over {disk.name}"]


def test_iter_users_finds_swap(loops: Loops) -> None:
    disk = loops.disk()
    loops.do("mkswap", disk)
    loops.do("swapon", disk, undo=("swapoff", disk))

    assert told(disk) == [f"the kernel swaps to {disk.name}"]


def test_iter_users_finds_a_mount(loops: Loops) -> None:
    disk, point = loops.disk(), loops.folder / "a place"
    point.mkdir()
    loops.do("mkfs.ext4", "-q", "-F", disk)
    loops.do("mount", disk, point, undo=("umount", point))

    assert told(disk) == [f"{disk.name} is mounted at {point}"]


def testused_elsewhere_finds_a_mount_in_another_namespace(loops: Loops) -> None:
    disk, point = loops.disk(), loops.folder / "inside"
    point.mkdir()
    loops.do("mkfs.ext4", "-q", "-F", disk)
    there = f"mount --make-rprivate / && mount {disk} {point} && echo mounted && read wait"
    with subprocess.Popen(
        ["unshare", "--mount", "sh", "-c", there], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as container:
        try:
            assert container.stdout is not None
            if container.stdout.readline() != "mounted\n":
                pytest.skip("this container makes no mount namespaces")

            found = used_elsewhere(listed(disk))
        finally:
            container.kill()
    assert until(lambda: used_elsewhere(listed(disk)) is None, 60)

    assert told(disk) == []
    assert found is not None
    assert found.why.startswith(f"{disk.name} is mounted at {point} by process {container.pid}, in another")
