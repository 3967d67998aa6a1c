"""A mux is not turned away from the host under a disk in use that may be the stick."""

from __future__ import annotations

import os
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from hil import errors
from hil.dutlink.storage.stick_mux import DetachReason, DiskUse, check_detach
from hil.flash.disk import users
from hil.flash.disk.disk import Disk
from hil.flash.disk.sysfs import BlockDevice
from tests.no_hardware.dutlink.storage.mux_bench import MIB, Memory, MuxBench

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from io import BufferedReader


@pytest.fixture
def image(tmp_path: Path) -> Path:
    path = tmp_path / "image.img"
    path.write_bytes(bytes(510) + b"\x55\xaa" + b"\x00\xff\xfe\x80" * (MIB // 4) + b"image of a disk" * 1000)
    return path


def node_of(bench: MuxBench, index: int = 0) -> Path:
    return bench.sticks[index]._node.path


def plugged_in(bench: MuxBench, socket: str = "2-9") -> Path:
    """A stranger's disk, and its node."""
    bench.strangers[0].plug(socket, "ZZ99")
    bench.clock.advance(2)
    return Path(bench.strangers[0]._node.path)  # type: ignore[union-attr]


def opened_when_it_comes(bench: MuxBench, node: Path, opened: list[BufferedReader]) -> None:
    """A desktop that mounts what comes."""
    if node.exists():
        opened.append(node.open("rb"))
    else:
        bench.after(0.05, opened_when_it_comes, bench, node, opened)


@pytest.mark.parametrize("verb", ["host", "learn"])
def test_learn_does_not_detach_a_disk_that_is_in_use_since_it_came(bench: MuxBench, verb: str) -> None:
    opened: list[BufferedReader] = []
    opened_when_it_comes(bench, node_of(bench), opened)
    storage = bench.storage()

    with pytest.raises(errors.StickInUseError, match="may be the stick"):
        storage.learn() if verb == "learn" else storage.wait_for_node()

    assert (node_of(bench).exists(), bench.links[0].sent[-1]) == (True, "host")
    opened[0].close()


def test_learn_with_force_ignores_uses(bench: MuxBench) -> None:
    opened: list[BufferedReader] = []
    opened_when_it_comes(bench, node_of(bench), opened)

    assert bench.storage().learn(force=True).socket == "2-1"
    opened[0].close()


def swap_cables(bench: MuxBench) -> None:
    one, other = bench.links
    one.stick, other.stick = other.stick, one.stick


@pytest.mark.parametrize("verb", ["off", "dut", "host", "learn"])
def test_off_refuses_an_open_stick_at_another_socket_than_learned(bench: MuxBench, verb: str) -> None:
    learning = bench.storage()
    learning.wait_for_node()
    learning.off()
    learning.wait_until_gone()
    swap_cables(bench)
    with pytest.raises(errors.HilError):
        bench.storage().wait_for_node()
    bench.clock.advance(5)
    node = node_of(bench, 1)

    with node.open("rb"):
        with pytest.raises(errors.StickInUseError, match="may be the stick"):
            getattr(bench.storage(), verb)()
        bench.clock.advance(2)
        assert node.exists()


def test_off_checks_a_disk_that_was_plugged_in_again_since_learning(bench: MuxBench) -> None:
    node = plugged_in(bench)
    learning = bench.storage()
    learning.wait_for_node()
    learning.off()
    learning.wait_until_gone()
    with node.open("rb"):
        bench.storage().off()
    bench.strangers[0].unplug()
    bench.clock.advance(1)

    with plugged_in(bench).open("rb"), pytest.raises(errors.StickInUseError):
        bench.storage().off()


HERS = "/run/lock/hil/hil-stick-5a1c0e01-1234.json"


@pytest.mark.parametrize("source", ["", HERS])
def test_off_ignores_another_board_s_stick_in_use(bench: MuxBench, source: str) -> None:
    """Also where that board was learned by another user."""
    other = bench.storage(1)
    other.wait_for_node()
    serial = bench.links[1].serial
    bench.kept[serial] = replace(bench.kept[serial], source=source)

    with node_of(bench, 1).open("rb"):
        bench.storage().off()

    assert bench.links[0].sent == ["off"]


def test_off_checks_a_disk_that_two_users_files_contradict_about(
    bench: MuxBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.storage(1).wait_for_node()
    serials = [link.serial for link in bench.links]
    hers = replace(bench.kept[serials[1]], source=HERS)
    his = replace(hers, source=HERS.replace("1234", "5678"))
    monkeypatch.setattr(Memory, "of_others", lambda _memory: [(serials[1], hers), (serials[0], his)])

    with node_of(bench, 1).open("rb"), pytest.raises(errors.StickInUseError):
        bench.storage().off()

    assert bench.links[0].sent == []


def test_missing_error_names_another_user_s_file_and_learn_ignores_it(
    bench: MuxBench,
) -> None:
    other = bench.storage(1)
    other.wait_for_node()
    other.off()
    serial, source = bench.links[1].serial, "/run/lock/hil/hil-stick-5a1c0e01-1234.json"
    bench.kept[serial] = replace(bench.kept[serial], source=source, socket="2-1")

    with pytest.raises(errors.StickMissingError) as caught:
        bench.storage().wait_for_node()

    assert source in caught.value.why
    assert "2-1" in caught.value.why
    assert f"hil storage learn --board {bench.links[0].serial}" in caught.value.remedy
    assert bench.storage().learn().socket == "2-1"


def test_missing_error_names_the_board_of_a_learned_socket(bench: MuxBench) -> None:
    bench.storage(1).wait_for_node()
    bench.storage(1).off()
    serial = bench.links[1].serial
    bench.kept[serial] = replace(bench.kept[serial], socket="2-1")

    with pytest.raises(errors.StickMissingError) as caught:
        bench.storage().wait_for_node()

    assert f"the stick of board {serial} comes" in caught.value.why
    assert f"hil storage learn --board {serial}" in caught.value.remedy


@pytest.mark.parametrize("verb", ["off", "dut"])
def test_taken_from_says_that_the_disk_may_be_the_stick(bench: MuxBench, verb: str) -> None:
    storage = bench.storage()
    with plugged_in(bench).open("rb"):
        getattr(storage, verb)(force=True)

    assert "is open in process" in storage.taken_from
    assert "may be the stick" in storage.taken_from

    storage.off()

    assert not storage.taken_from


def opened_at_each_close(monkeypatch: pytest.MonkeyPatch, looks: list[BufferedReader]) -> None:
    """What udev's rules do with a disk that was open for writing: it is looked at as soon as it is closed."""
    close: Callable[[Disk], None] = Disk.close

    def look(self: Disk) -> None:
        was_open = self._descriptor >= 0
        close(self)
        if was_open:
            looks.append(self.node.open("rb"))

    monkeypatch.setattr(Disk, "close", look)


def test_flash_ignores_a_short_look_of_the_desktop(
    bench: MuxBench, image: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks: list[BufferedReader] = []
    opened_at_each_close(monkeypatch, looks)
    storage = bench.storage()

    flashed = storage.flash(image, force=True)

    assert (flashed.was_written, storage.position, len(looks)) == (True, "off", 2)
    for look in looks:
        look.close()


def own_descriptors(node: Path) -> int:
    """How many descriptors of this process are open on a node, or were when it went."""
    links = (str(entry.readlink()) for entry in Path("/proc/self/fd").iterdir() if entry.is_symlink())
    return sum(link.startswith(str(node.resolve())) for link in links)


@pytest.mark.parametrize("verb", ["flash", "read"])
def test_claim_holds_the_stick_until_the_mux_has_turned(
    bench: MuxBench, image: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, verb: str
) -> None:
    held: list[int] = []
    storage = bench.storage()
    storage.wait_for_node()
    node = node_of(bench)
    send = bench.links[0].control_out

    def seen(request: int, value: int) -> None:
        if value == 0:
            held.append(own_descriptors(node))
        send(request, value)

    monkeypatch.setattr(bench.links[0], "control_out", seen)
    storage.flash(image, force=True) if verb == "flash" else storage.read(tmp_path / "back")

    assert held == ([0, 1, 1] if verb == "flash" else [0, 1])
    assert own_descriptors(node) == 0


@pytest.mark.parametrize("has_namesake", [False, True])
def test_check_wired_waits_for_a_name_that_udev_makes_late(bench: MuxBench, has_namesake: bool) -> None:
    if has_namesake:
        bench.strangers[0].plug("2-9", "AB00")
        bench.clock.advance(2)
    wired, node = bench.dev.root / "disk/by-path/pci-usb-2-1", node_of(bench)
    wired.parent.mkdir(parents=True, exist_ok=True)
    there: list[float] = []

    def name() -> None:
        if not node.exists():
            wired.unlink(missing_ok=True)
            there.clear()
        elif not there:
            there.append(bench.clock.now())
        elif bench.clock.now() - there[0] > 0.5 and not wired.is_symlink():
            wired.symlink_to(node)
        bench.after(0.05, name)

    name()

    with bench.storage(wired=wired).claim(to_write=True) as disk:
        assert disk.node == wired


def test_claim_error_says_what_was_written(bench: MuxBench) -> None:
    wired = bench.dev.root / "wired"
    wired.symlink_to(plugged_in(bench))

    with pytest.raises(errors.WrongDiskError, match="5 bytes were written"):
        bench.storage(wired=wired).claim(to_write=True, written="5 bytes were written")


def test_check_detach_refuses_if_the_kernel_does_not_tell_and_force_goes_on() -> None:
    def look() -> DiskUse | None:
        raise OSError("too many open files")

    with pytest.raises(errors.StickInUseError, match="too many open files"):
        check_detach("5a1c0e00", DetachReason.UNUSED, look)

    assert check_detach("5a1c0e00", DetachReason.FORCED, look) == ""


@pytest.fixture
def loop(tmp_path: Path) -> Iterator[Path]:
    """A loop device, which is a disk to the kernel."""
    (tmp_path / "file").write_bytes(bytes(MIB))
    made = subprocess.run(
        ["losetup", "--find", "--show", tmp_path / "file"], capture_output=True, text=True, check=False
    )
    if made.returncode:
        pytest.skip(f"no loop device: {made.stderr}")
    yield Path(made.stdout.strip())
    subprocess.run(["losetup", "--detach", made.stdout.strip()], check=True)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root makes loop devices")
@pytest.mark.parametrize("is_held", [False, True])
def test_user_of_finds_a_use_that_only_the_kernel_knows(
    loop: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_held: bool
) -> None:
    status = loop.stat()
    folder = tmp_path / "sys/devices/usb/block" / loop.name
    folder.mkdir(parents=True)
    (folder / "dev").write_text(f"{os.major(status.st_rdev)}:{os.minor(status.st_rdev)}\n")
    monkeypatch.setattr(users, "_PROC", tmp_path / "no-processes")
    held: Any = os.open(loop, os.O_RDONLY | os.O_EXCL) if is_held else None

    found = users.user_of(BlockDevice(folder), tmp_path / "sys", loop.parent)

    assert found == (
        f"{loop.name} is held by the kernel for a use that it does not list, or by a hidden program"
        if is_held
        else ""
    )
    if is_held:
        os.close(held)
