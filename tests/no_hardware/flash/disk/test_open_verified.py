"""Attempts to have a disk other than the stick opened: each is refused, and no byte of it changes."""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import stat
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from hil.errors import StickLostError, StorageError, WrongDiskError
from hil.flash.disk import kernel_users
from hil.flash.disk import open_verified as proof
from hil.flash.disk.kernel_users import file_system_of, mounts_of, swaps_on
from hil.flash.disk.open_verified import ExpectedDisk, open_verified
from hil.flash.disk.sysfs import identity_of, list_disks
from tests.support.disk_bench import NAMES, StickBench

if TYPE_CHECKING:
    from collections.abc import Callable

PRECIOUS = b"precious" * 4096


@dataclass
class Attempt:
    """A stick, the victims beside it, and what an attempt has changed."""

    bench: StickBench
    root: Path
    victims: list[Path] = field(default_factory=list)
    before: frozenset[str] = frozenset()
    usb_names: tuple[str, ...] = ()
    sys: Path | None = None

    def victim(self, name: str = "precious.bin") -> Path:
        path = self.root / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(PRECIOUS)
        self.victims.append(path)
        return path

    def rival(self, name: str = "sdb") -> tuple[Path, Any]:
        node, listing = self.bench.another(name, PRECIOUS)
        self.victims.append(node)
        return node, listing

    def lead_to(self, target: Path | str) -> None:
        """Point the stick's name to something else."""
        self.bench.node.unlink(missing_ok=True)
        self.bench.node.symlink_to(target)

    def tell(self, name: str, value: str) -> None:
        """Change what sysfs says about the stick."""
        (self.bench.sys / "block" / "sda" / name).write_text(value)


ATTEMPTS: dict[str, tuple[Callable[[Attempt], None], str]] = {}
"""What is tried, by name, and what the refusal says."""


def attempt(why: str) -> Callable[[Callable[[Attempt], None]], Callable[[Attempt], None]]:
    def keep(act: Callable[[Attempt], None]) -> Callable[[Attempt], None]:
        ATTEMPTS[act.__name__] = (act, why)
        return act

    return keep


NOT_LISTED = "the kernel lists no such disk"


@attempt(NOT_LISTED)
def a_plain_file_in_its_place(one: Attempt) -> None:
    one.bench.node.unlink()
    one.victims.append(one.bench.node)
    one.bench.node.write_bytes(PRECIOUS)


@attempt(NOT_LISTED)
def a_link_to_a_plain_file(one: Attempt) -> None:
    one.lead_to(one.victim())


@attempt(NOT_LISTED)
def a_link_to_a_link_to_a_plain_file(one: Attempt) -> None:
    one.victim()
    (one.root / "hop").symlink_to("precious.bin")
    one.lead_to(one.root / "hop")


@attempt(NOT_LISTED)
def a_hard_link_to_a_plain_file(one: Attempt) -> None:
    one.bench.node.unlink()
    one.bench.node.hardlink_to(one.victim())


@attempt(NOT_LISTED)
def a_copy_of_the_stick(one: Attempt) -> None:
    one.victims.append(one.root / "copy")
    shutil.copy(one.bench.file, one.root / "copy")
    one.lead_to(one.root / "copy")


@attempt(NOT_LISTED)
def an_empty_file(one: Attempt) -> None:
    one.victim().write_bytes(b"")
    one.lead_to(one.root / "precious.bin")


@attempt(NOT_LISTED)
def the_empty_node_that_a_stick_leaves_behind(one: Attempt) -> None:
    one.bench.listing.hide()


@attempt(NOT_LISTED)
def a_disk_whose_listing_is_another_disks(one: Attempt) -> None:
    one.tell("dev", "file-1-1")


@attempt(NOT_LISTED)
def a_listing_that_leads_out_of_sysfs(one: Attempt) -> None:
    victim = one.victim("elsewhere/dev").parent
    identity = identity_of(one.bench.node.stat())
    (victim / "dev").write_text(identity)
    one.victims.clear()
    link = one.bench.sys / "dev/block" / identity
    link.unlink()
    link.symlink_to(victim)


@attempt(NOT_LISTED)
def a_listing_without_a_device_number(one: Attempt) -> None:
    (one.bench.sys / "block/sda/dev").unlink()


@attempt(NOT_LISTED)
def a_kernel_that_tells_nothing(one: Attempt) -> None:
    shutil.rmtree(one.bench.sys)


@attempt(NOT_LISTED)
def a_simulated_stick_on_a_real_kernel(one: Attempt) -> None:
    one.sys = Path("/sys")


@attempt("it is neither a disk nor a file")
def a_folder(one: Attempt) -> None:
    one.lead_to(one.root)


@attempt("it is neither a disk nor a file")
def a_pipe(one: Attempt) -> None:
    os.mkfifo(one.root / "pipe")
    one.lead_to(one.root / "pipe")


@attempt("it is neither a disk nor a file")
def a_character_device(one: Attempt) -> None:
    one.lead_to("/dev/null")


@attempt("it is neither a disk nor a file")
def a_terminal(one: Attempt) -> None:
    _, tty = os.openpty()
    one.lead_to(os.ttyname(tty))


@attempt("it cannot be opened: ")
def a_link_to_itself(one: Attempt) -> None:
    one.lead_to(one.bench.node)


@attempt("it is a partition, not a whole disk")
def a_partition(one: Attempt) -> None:
    one.tell("partition", "1")


@attempt("it is not on USB")
def a_fixed_disk(one: Attempt) -> None:
    for link in list(one.bench.sys.glob("devices/**/subsystem")):
        link.unlink()
        link.symlink_to(one.bench.sys / "bus/pci")


@attempt("it is not on USB")
def a_disk_below_something_that_is_no_usb_device(one: Attempt) -> None:
    for vendor in one.bench.sys.glob("devices/**/idVendor"):
        vendor.unlink()


@attempt("it is a virtual disk, such as a loop device")
def a_loop_device(one: Attempt) -> None:
    one.bench.listing.hide()
    listed = one.bench.sys / "devices/virtual/block/loop0"
    listed.mkdir(parents=True)
    identity = identity_of(one.bench.node.stat())
    for name, value in {"dev": identity, "size": "1", "removable": "0", "ro": "0"}.items():
        (listed / name).write_text(value)
    (one.bench.sys / "dev/block" / identity).symlink_to(listed)


@attempt("the kernel calls it a fixed disk, not a removable one")
def a_usb_disk_that_is_not_removable(one: Attempt) -> None:
    one.tell("removable", "0")


@attempt("the kernel calls it a fixed disk, not a removable one")
def a_disk_of_which_nothing_is_said_about_being_removable(one: Attempt) -> None:
    (one.bench.sys / "block/sda/removable").unlink()


@attempt("it is write-protected")
def a_disk_that_takes_no_writes(one: Attempt) -> None:
    one.tell("ro", "1")


@attempt("its size differs from the one in sysfs")
def a_disk_without_a_medium(one: Attempt) -> None:
    one.tell("size", "0")


@attempt("its size differs from the one in sysfs")
def a_disk_of_another_size(one: Attempt) -> None:
    one.tell("size", "7")


@attempt("its size differs from the one in sysfs")
def a_disk_whose_size_is_no_number(one: Attempt) -> None:
    one.tell("size", "-512")


@attempt("dm-0 is built on sda")
def a_disk_of_a_volume_group(one: Attempt) -> None:
    (one.bench.sys / "block/sda/holders/dm-0").mkdir()


@attempt("md127 is built on sda2")
def a_disk_with_a_partition_in_a_raid(one: Attempt) -> None:
    (one.bench.sys / "block/sda/sda2/holders/md127").mkdir(parents=True)
    (one.bench.sys / "block/sda/sda2/partition").write_text("2")


@attempt("it was on the host while the storage was off, so it does not follow the mux")
def a_disk_that_was_there_before(one: Attempt) -> None:
    one.before = one.bench.keys()


@attempt("it was on the host while the storage was off, so it does not follow the mux")
def a_link_to_another_usb_disk_that_was_there_before(one: Attempt) -> None:
    node, listing = one.rival()
    listing.show(node)
    one.before = frozenset(disk.key for disk in list_disks(one.bench.sys) if disk.name == "sdb")
    one.lead_to(node)


@attempt("sdb came at the same time, so the stick cannot be identified")
def a_second_stick_at_the_same_time(one: Attempt) -> None:
    node, listing = one.rival()
    listing.show(node)


@attempt("sda came at the same time, so the stick cannot be identified")
def a_link_to_a_second_stick_that_came_at_the_same_time(one: Attempt) -> None:
    node, listing = one.rival()
    listing.show(node)
    one.lead_to(node)


@attempt("sdb came at the same time, so the stick cannot be identified")
def a_second_stick_that_still_spins_up(one: Attempt) -> None:
    node, listing = one.rival()
    listing.show(node)
    (one.bench.sys / "block/sdb/size").write_text("0")


@attempt("loop3 is a loop device over sda")
def a_disk_behind_a_loop_device(one: Attempt) -> None:
    (one.bench.sys / "block/loop3/loop").mkdir(parents=True)
    (one.bench.sys / "block/loop3/loop/backing_file").write_text(f"{one.bench.node}\n")


@attempt("it is not the disk that was opened a moment ago")
def another_stick_in_the_same_socket(one: Attempt) -> None:
    one.usb_names = (*NAMES.vendor_id, "of another stick")


@attempt("another program has locked it")
def a_disk_that_another_program_writes(one: Attempt) -> None:
    descriptor = os.open(one.bench.file, os.O_RDWR)
    fcntl.flock(descriptor, fcntl.LOCK_EX)


@pytest.fixture
def one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Attempt:
    monkeypatch.setattr(proof, "_READY_LIMIT_S", 0.0)
    monkeypatch.setattr(proof, "_LOCK_LIMIT_S", 0.0)
    bench = StickBench(tmp_path, 65536)
    bench.appear()
    (tmp_path / "victims").mkdir()
    return Attempt(bench, tmp_path / "victims")


def facts(paths: list[Path]) -> list[tuple[bytes, int, int]]:
    return [(path.read_bytes(), path.stat().st_mtime_ns, path.stat().st_size) for path in paths]


def tried(one: Attempt) -> WrongDiskError:
    expected = ExpectedDisk(one.bench.node, one.sys or one.bench.sys, one.before, one.usb_names)
    with pytest.raises(WrongDiskError) as caught:
        open_verified(expected, to_write=True)
    return caught.value


@pytest.mark.parametrize("name", ATTEMPTS)
def test_open_verified_refuses_with_the_failed_check(one: Attempt, name: str) -> None:
    act, why = ATTEMPTS[name]
    act(one)
    watched = [*one.victims, one.bench.file]
    before = facts(watched)

    error = tried(one)

    assert error.why.startswith(why)
    assert "nothing was written" in error.what
    assert error.remedy
    assert facts(watched) == before


SWAPS = [
    a_plain_file_in_its_place,
    a_link_to_a_plain_file,
    a_link_to_a_link_to_a_plain_file,
    a_hard_link_to_a_plain_file,
    a_copy_of_the_stick,
    a_link_to_a_second_stick_that_came_at_the_same_time,
]
MOMENTS = ["resolve", "lstat", "open", "fstat", "lseek", "flock"]


@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize("swap", SWAPS, ids=lambda act: act.__name__)
def test_open_verified_refuses_a_path_swapped_between_steps(
    one: Attempt, swap: Callable[[Attempt], None], moment: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever is opened after the swap, what is written goes to the stick or nowhere."""
    owner = {"resolve": Path, "lstat": Path, "flock": proof.fcntl}.get(moment, proof.os)
    original = getattr(owner, moment)
    victims: list[tuple[bytes, int, int]] = []

    def swapped(*arguments: Any, **named: Any) -> Any:
        if not victims:
            monkeypatch.setattr(owner, moment, original)
            swap(one)
            victims.extend(facts(one.victims))
        return original(*arguments, **named)

    monkeypatch.setattr(owner, moment, swapped)
    try:
        with open_verified(ExpectedDisk(one.bench.node, one.bench.sys, one.before), to_write=True) as disk:
            opened = os.fstat(disk._descriptor)
            assert os.path.samestat(opened, one.bench.file.stat())
    except WrongDiskError:
        pass

    assert victims
    assert facts(one.victims) == victims


@pytest.mark.parametrize("seed", range(30))
def test_open_verified_refuses_links_to_other_files_and_devices(one: Attempt, seed: int) -> None:
    targets = [path for path in Path("/dev").iterdir() if not path.is_dir()]
    blocks = [path for path in targets if stat.S_ISBLK(path.stat().st_mode)] if targets else []
    everything = [*blocks, *targets, one.victim(), Path(__file__), Path("/proc/self/mem"), Path("/sys")]
    one.lead_to(everything[seed % len(everything)])
    sys = Path("/sys") if seed % 2 else one.bench.sys

    with pytest.raises(StorageError) as caught:
        open_verified(ExpectedDisk(one.bench.node, sys, frozenset()), to_write=True)

    assert caught.value.why


def test_open_verified_refuses_a_block_device_without_sysfs(
    one: Attempt, monkeypatch: pytest.MonkeyPatch
) -> None:
    block = SimpleNamespace(st_mode=stat.S_IFBLK, st_rdev=os.makedev(8, 0))
    (one.bench.sys / "dev/block/8:0").symlink_to((one.bench.sys / "block/sda").resolve())
    one.tell("dev", "8:0")
    own = SimpleNamespace(**{**vars(os), "fstat": lambda _descriptor: block})
    monkeypatch.setattr(proof, "os", own)

    assert tried(one).why == f"{one.bench.sys} is no sysfs of the kernel"


def test_open_verified_attempts_are_a_hundred() -> None:
    assert len(ATTEMPTS) + len(MOMENTS) * len(SWAPS) + 30 >= 100


def test_open_verified_opens_the_stick(one: Attempt) -> None:
    with open_verified(ExpectedDisk(one.bench.node, one.bench.sys, frozenset()), to_write=True) as disk:
        assert disk.size_bytes == 65536


def test_open_verified_accepts_a_new_sequence_number(one: Attempt) -> None:
    before = one.bench.keys()
    one.bench.go()
    one.bench.appear()

    with open_verified(ExpectedDisk(one.bench.node, one.bench.sys, before), to_write=True) as disk:
        assert disk.node == one.bench.node


def test_open_verified_reads_a_write_protected_stick(one: Attempt) -> None:
    one.tell("ro", "1")

    with open_verified(ExpectedDisk(one.bench.node, one.bench.sys, frozenset()), to_write=False) as disk:
        assert disk.size_bytes == 65536


def test_open_verified_reports_a_stick_that_left(one: Attempt) -> None:
    one.bench.go()

    with pytest.raises(StickLostError, match="gone again"):
        open_verified(ExpectedDisk(one.bench.node, one.bench.sys, frozenset()), to_write=True)


def test_open_verified_reports_a_denied_stick(one: Attempt, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> int:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(proof.os, "open", refuse)
    with pytest.raises(StorageError, match="no permission") as caught:
        open_verified(ExpectedDisk(one.bench.node, one.bench.sys, frozenset()), to_write=True)

    assert not isinstance(caught.value, WrongDiskError)


def refuse_to_open(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    def refuse(*_: Any, **__: Any) -> int:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(proof.os, "open", refuse)


def test_open_verified_ignores_an_empty_slot_of_the_reader(one: Attempt) -> None:
    slot = (one.bench.sys / "block/sda").resolve().parents[2] / "6:0:0:1/block/sdb"
    shutil.copytree((one.bench.sys / "block/sda").resolve(), slot, symlinks=True)
    (slot / "size").write_text("0\n")
    (slot / "dev").write_text("8:16\n")
    (one.bench.sys / "block/sdb").symlink_to(slot)

    with open_verified(ExpectedDisk(one.bench.node, one.bench.sys, frozenset()), to_write=True) as disk:
        assert disk.node == one.bench.node


def test_open_verified_reports_a_containers_device_rules(
    one: Attempt, monkeypatch: pytest.MonkeyPatch
) -> None:
    refuse_to_open(monkeypatch, errno.EPERM)

    with pytest.raises(StorageError, match="container") as caught:
        open_verified(ExpectedDisk(one.bench.node, one.bench.sys, frozenset()), to_write=True)

    assert not isinstance(caught.value, WrongDiskError)


def test_open_verified_names_a_mount_in_another_namespace(
    one: Attempt, monkeypatch: pytest.MonkeyPatch
) -> None:
    proc, number = one.root / "proc", identity_of(one.bench.node.stat())
    for process, namespace, mounts in (
        ("self", "mnt:[1]", ""),
        ("7", "mnt:[1]", ""),
        ("812", "mnt:[2]", f"36 35 {number} / /data rw - ext4 /dev/sda rw\n"),
    ):
        (proc / process / "ns").mkdir(parents=True)
        (proc / process / "ns/mnt").symlink_to(namespace)
        (proc / process / "mountinfo").write_text(mounts)
    monkeypatch.setattr(kernel_users, "_PROC", proc)
    refuse_to_open(monkeypatch, errno.EBUSY)

    error = tried(one)

    assert error.why == "sda is mounted at /data by process 812, in another mount namespace"
    assert error.remedy == "end that container, or nsenter -m -t 812 umount /data"


@pytest.mark.parametrize("number", [errno.EBUSY, errno.EACCES])
def test_open_verified_waits_for_udev(one: Attempt, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    refusals, opened = [number, number], os.open

    def refuse(*given: Any) -> int:
        if refusals:
            raise OSError(refusals.pop(), "not yet")
        return opened(*given)

    monkeypatch.setattr(proof, "_READY_LIMIT_S", 30.0)
    monkeypatch.setattr(proof.os, "open", refuse)
    with open_verified(ExpectedDisk(one.bench.node, one.bench.sys, frozenset()), to_write=True) as disk:
        assert (disk.node, refusals) == (one.bench.node, [])


def test_open_verified_refusal_leaves_no_descriptor(one: Attempt) -> None:
    one.tell("removable", "0")
    before = len(list(Path("/proc/self/fd").iterdir()))

    tried(one)

    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_mounts_of_goes_by_device_number() -> None:
    device = Path("/proc").stat().st_dev

    assert "/proc" in mounts_of(f"{os.major(device)}:{os.minor(device)}")
    assert file_system_of(Path("/proc")) == "proc"
    assert mounts_of("file-1-1") == []
    assert not swaps_on("file-1-1")
