"""The proof that a disk is the board's stick, on the very descriptor that is then written to.

A name proves nothing: it can be planted, or lead elsewhere a moment later. So the node is opened first, and
what was opened is asked for: by its device number, in sysfs. The kernel itself refuses a disk of which
anything is mounted or otherwise in use (O_EXCL, open(2)), and keeps it from being mounted while open; flock
keeps udev away from it (systemd: Locking Block Device Access).
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hil.errors import FlashError, StickLostError, StickStayedError, StorageError, WrongDiskError
from hil.flash.disk.disk import Disk
from hil.flash.disk.kernel_users import file_system_of
from hil.flash.disk.permission import explain_denied
from hil.flash.disk.sysfs import BlockDevice, block_device, identity_of, list_disks
from hil.flash.disk.users import BUSY, DiskRefusal, explain_busy, iter_users

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path

__all__ = ["NOTHING_WRITTEN", "ExpectedDisk", "open_verified", "wrong_disk_error"]

NOTHING_WRITTEN = "nothing was written"
"""What an error says if it comes before the first byte is written."""

_READY_LIMIT_S = 1.0
_LOCK_LIMIT_S = 5.0
_LOOK_EVERY_S = 0.02
_GONE = (errno.ENOENT, errno.ENXIO, errno.ENODEV, errno.ENOMEDIUM)


@dataclass(frozen=True, slots=True)
class ExpectedDisk:
    """What is known about the stick before it is opened.

    Attributes:
        node: Its path, as it is wired or was found.
        sys: The folder where the host's kernel tells about disks.
        before: Keys of the disks that were there while the storage was off; see `BlockDevice.key`.
        usb_names: What it was when it was opened before; empty: it was not.
        attachment: Its USB socket and its device number there (`BlockDevice.attachment`); None: not known.
        written: What has been written already, for errors.
    """

    node: Path
    sys: Path
    before: frozenset[str]
    usb_names: tuple[str, ...] = ()
    attachment: tuple[str, str] | None = None
    written: str = NOTHING_WRITTEN


def open_verified(
    expected: ExpectedDisk, *, to_write: bool, access: AbstractContextManager[object] | None = None
) -> Disk:
    """Open the stick, when it is proven to be that.

    Args:
        expected: What is known about it.
        to_write: Whether it is to be written.
        access: Entered around each transfer: raises if the stick may not be used any more.

    Raises:
        WrongDiskError: One of the proofs fails; the error says which, and what was written.
        StickLostError: It is gone again.
        StorageError: It may not be opened.
    """
    descriptor = _open(expected, to_write=to_write)
    try:
        device = _proven(expected, descriptor, to_write=to_write)
        _lock(expected, descriptor)
        return Disk(descriptor, expected.node, device, FlashError if to_write else StorageError, access)
    except BaseException:
        os.close(descriptor)
        raise


def wrong_disk_error(stayed: StickStayedError, written: str = NOTHING_WRITTEN) -> WrongDiskError:
    """Return the error for a node that was to be written and did not go away with *off*."""
    return WrongDiskError(
        f"{stayed.what}, so that it is not proven to be the board's stick; {written}",
        why=stayed.why,
        remedy=stayed.remedy,
        serial=stayed.serial,
    )


def _open(expected: ExpectedDisk, *, to_write: bool) -> int:
    """Open what the node leads to. While udev looks at a new disk it may be busy, or not permitted yet."""
    until_s = time.monotonic() + _READY_LIMIT_S
    while True:
        try:
            return _open_now(expected, to_write=to_write)
        except (OSError, RuntimeError) as error:
            early = getattr(error, "errno", None) in (errno.EBUSY, errno.EACCES) or _is_named_late(
                expected, error
            )
            if not early or time.monotonic() > until_s:
                raise _not_opened(expected, error) from error
            time.sleep(_LOOK_EVERY_S)


def _is_named_late(expected: ExpectedDisk, error: OSError | RuntimeError) -> bool:
    """Return True if a name is missing although the disk that came is there: udev makes, or remakes, it."""
    if not isinstance(error, FileNotFoundError) or expected.attachment is None:
        return False
    return expected.attachment in {disk.attachment for disk in list_disks(expected.sys)}


def _open_now(expected: ExpectedDisk, *, to_write: bool) -> int:
    """Open it exclusively. Nothing that an open could disturb is opened."""
    access = os.O_RDWR if to_write else os.O_RDONLY
    flags = access | os.O_EXCL | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
    path = expected.node.resolve(strict=True)
    if not _is_disk_or_file(path.lstat().st_mode):
        raise _refused(expected, DiskRefusal("it is neither a disk nor a file"))
    return os.open(path, flags)


def _is_disk_or_file(mode: int) -> bool:
    return stat.S_ISBLK(mode) or stat.S_ISREG(mode)


def _not_opened(expected: ExpectedDisk, error: OSError | RuntimeError) -> StorageError:
    node, number = expected.node, getattr(error, "errno", None)
    if number in _GONE:
        return StickLostError(
            f"{node} is gone again",
            why="it went away before it could be opened",
            remedy="see whether the stick sits firmly, then do it again",
            errno=number,
        )
    if number == errno.EBUSY:
        return _refused(expected, explain_busy(expected.node, expected.sys))
    if number == errno.EROFS:
        return _refused(expected, _WRITE_PROTECTED)
    if number == errno.EPERM:
        return StorageError(
            f"{node} cannot be opened",
            why="this container, or a unit's sandbox, may not use disks",
            remedy="docker run --device-cgroup-rule='b 8:* rmw' ...; in a unit DeviceAllow=block-sd rw",
            errno=number,
        )
    if number == errno.EACCES:
        denial = explain_denied(expected.node)
        return StorageError(
            f"{node} cannot be opened",
            why=denial.why,
            remedy=denial.remedy,
            errno=number,
        )
    return _refused(expected, DiskRefusal(f"it cannot be opened: {error}"))


_WRITE_PROTECTED = DiskRefusal("it is write-protected", "use another stick, or open its lock")
_FIXED = DiskRefusal(
    "the kernel calls it a fixed disk, not a removable one",
    "use a stick that calls itself removable: lsblk -o NAME,RM,TRAN shows 1 and usb",
)


def _proven(expected: ExpectedDisk, descriptor: int, *, to_write: bool) -> BlockDevice:
    status = os.fstat(descriptor)
    device = block_device(expected.sys, identity_of(status))
    if device is None:
        raise _refused(expected, DiskRefusal("it is no disk that the kernel lists"))
    if stat.S_ISBLK(status.st_mode) and file_system_of(expected.sys) != "sysfs":
        raise _refused(expected, DiskRefusal(f"{expected.sys} is not the kernel's", "mount sysfs there"))
    for doubt in _doubts(expected, descriptor, device, to_write=to_write):
        raise _refused(expected, doubt)
    return device


def _doubts(
    expected: ExpectedDisk, descriptor: int, device: BlockDevice, *, to_write: bool
) -> Iterator[DiskRefusal]:
    """Yield what speaks against it."""
    if device.is_partition:
        yield DiskRefusal("it is a partition, and no whole disk", "name the whole disk, or none: it is found")
    if device.is_virtual:
        yield DiskRefusal("there is no device behind it: it is a loop device or the like")
    if device.usb_device is None:
        yield DiskRefusal("it is not on USB")
    if not device.is_removable:
        yield _FIXED
    if to_write and device.is_read_only:
        yield _WRITE_PROTECTED
    if not 0 < device.size_bytes == os.lseek(descriptor, 0, os.SEEK_END):
        yield DiskRefusal("its size is not the one that the kernel tells")
    yield from iter_users(device, expected.sys)
    yield from _strangers(expected, device)
    if not _leads_to(expected.node, descriptor):
        yield DiskRefusal("its name leads elsewhere by now")


def _strangers(expected: ExpectedDisk, device: BlockDevice) -> Iterator[DiskRefusal]:
    """Yield what speaks against its being the one that followed the mux."""
    if device.key in expected.before:
        yield DiskRefusal("it was there while the storage was off, so it does not follow the mux")
    if expected.attachment not in {None, device.attachment}:
        yield DiskRefusal("it is not the disk that came with the mux: that is another one, or came again")
    for other in list_disks(expected.sys):
        if (
            other.key not in expected.before
            and other.key != device.key
            and _is_rival(expected, other, device)
        ):
            yield DiskRefusal(
                f"{other.name} came at the same time, so that neither can be called the stick",
                "pull the other one out, or wait until it stays, then do it again",
            )
    if expected.usb_names and device.usb_names != expected.usb_names:
        yield DiskRefusal(
            "it is not the one that was there a moment ago", "leave the stick in, and do it again"
        )


def _is_rival(expected: ExpectedDisk, other: BlockDevice, device: BlockDevice) -> bool:
    """Whether it may be the stick as well; one that spins up, like an empty slot beside it, has no size.

    Where the stick's socket is proven, only a second medium in this socket may be.
    """
    is_beside = other.usb_device == device.usb_device
    if expected.attachment is not None and not is_beside:
        return False
    return other.usb_device is not None and (other.size_bytes > 0 or not is_beside)


def _leads_to(node: Path, descriptor: int) -> bool:
    with suppress(OSError):
        return identity_of(node.stat()) == identity_of(os.fstat(descriptor))
    return False


def _lock(expected: ExpectedDisk, descriptor: int) -> None:
    """Keep udev and other programs that ask from looking at the disk while its bytes change."""
    until_s = time.monotonic() + _LOCK_LIMIT_S
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > until_s:
                raise _refused(expected, DiskRefusal("another program has locked it", BUSY.remedy)) from None
            time.sleep(_LOOK_EVERY_S)
        else:
            return


def _refused(expected: ExpectedDisk, doubt: DiskRefusal) -> WrongDiskError:
    return WrongDiskError(
        f"{expected.node} is not proven to be the board's stick, {expected.written}",
        why=doubt.why,
        remedy=doubt.remedy,
    )
