"""Verify that a disk is the board's stick, on the descriptor that is then written to.

A name proves nothing: it can be planted, or lead to another disk a moment later. So the node is opened first,
and sysfs is then searched for the device number of the open descriptor. The kernel refuses to open a disk if
any part of it is in use (O_EXCL, open(2)), and to mount it while it is open. flock keeps udev from it
(systemd: Locking Block Device Access).
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
"""Part of an error that is raised before the first byte is written."""

_READY_LIMIT_S = 1.0
_LOCK_LIMIT_S = 5.0
_RETRY_EVERY_S = 0.02
_GONE = (errno.ENOENT, errno.ENXIO, errno.ENODEV, errno.ENOMEDIUM)


@dataclass(frozen=True, slots=True)
class ExpectedDisk:
    """What is known about the stick before it is opened.

    Attributes:
        node: Path of its device node.
        sys: The host's sysfs folder.
        before: Keys of the disks that were on the host while the storage was off; see `BlockDevice.key`.
        usb_names: Its `BlockDevice.usb_names` when it was opened before; empty if it was not.
        attachment: Its `BlockDevice.attachment`; None if not known.
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
    """Open the stick after verifying that the disk is the stick.

    Args:
        expected: What is known about it.
        to_write: Whether it will be written.
        access: Entered around each transfer: raises if the stick may not be used any more.

    Raises:
        WrongDiskError: A check failed; the error says which one, and what was written.
        StickLostError: The stick left the host again.
        StorageError: The disk may not be opened.
    """
    descriptor = _open(expected, to_write=to_write)
    try:
        device = _verified_device(expected, descriptor, to_write=to_write)
        _lock(expected, descriptor)
        return Disk(descriptor, expected.node, device, FlashError if to_write else StorageError, access)
    except BaseException:
        os.close(descriptor)
        raise


def wrong_disk_error(stayed: StickStayedError, written: str = NOTHING_WRITTEN) -> WrongDiskError:
    """Return the error for a disk that should be written and did not leave the host with *off*."""
    return WrongDiskError(
        f"{stayed.what}, so that it is not proven to be the board's stick; {written}",
        why=stayed.why,
        remedy=stayed.remedy,
        serial=stayed.serial,
    )


def _open(expected: ExpectedDisk, *, to_write: bool) -> int:
    """Open the node. A new disk may be busy or not permitted yet while udev handles it, so try repeatedly."""
    until_s = time.monotonic() + _READY_LIMIT_S
    while True:
        try:
            return _open_now(expected, to_write=to_write)
        except (OSError, RuntimeError) as error:
            early = getattr(error, "errno", None) in (errno.EBUSY, errno.EACCES) or _is_named_late(
                expected, error
            )
            if not early or time.monotonic() > until_s:
                raise _open_error(expected, error) from error
            time.sleep(_RETRY_EVERY_S)


def _is_named_late(expected: ExpectedDisk, error: OSError | RuntimeError) -> bool:
    """Return True if the node is missing although the disk is on the host: udev is about to create it."""
    if not isinstance(error, FileNotFoundError) or expected.attachment is None:
        return False
    return expected.attachment in {disk.attachment for disk in list_disks(expected.sys)}


def _open_now(expected: ExpectedDisk, *, to_write: bool) -> int:
    """Open the node exclusively; refuse other kinds of files, which opening could disturb."""
    access = os.O_RDWR if to_write else os.O_RDONLY
    flags = access | os.O_EXCL | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
    path = expected.node.resolve(strict=True)
    if not _is_disk_or_file(path.lstat().st_mode):
        raise _refused(expected, DiskRefusal("it is neither a disk nor a file"))
    return os.open(path, flags)


def _is_disk_or_file(mode: int) -> bool:
    return stat.S_ISBLK(mode) or stat.S_ISREG(mode)


def _open_error(expected: ExpectedDisk, error: OSError | RuntimeError) -> StorageError:
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


def _verified_device(expected: ExpectedDisk, descriptor: int, *, to_write: bool) -> BlockDevice:
    status = os.fstat(descriptor)
    device = block_device(expected.sys, identity_of(status))
    if device is None:
        raise _refused(expected, DiskRefusal("the kernel lists no such disk"))
    if stat.S_ISBLK(status.st_mode) and file_system_of(expected.sys) != "sysfs":
        raise _refused(
            expected, DiskRefusal(f"{expected.sys} is no sysfs of the kernel", "mount sysfs there")
        )
    for refusal in _refusals(expected, descriptor, device, to_write=to_write):
        raise _refused(expected, refusal)
    return device


def _refusals(
    expected: ExpectedDisk, descriptor: int, device: BlockDevice, *, to_write: bool
) -> Iterator[DiskRefusal]:
    """Yield the reasons not to use the disk."""
    if device.is_partition:
        yield DiskRefusal("it is a partition, not a whole disk", "name the whole disk, or none: it is found")
    if device.is_virtual:
        yield DiskRefusal("it is a virtual disk, such as a loop device")
    if device.usb_device is None:
        yield DiskRefusal("it is not on USB")
    if not device.is_removable:
        yield _FIXED
    if to_write and device.is_read_only:
        yield _WRITE_PROTECTED
    if not 0 < device.size_bytes == os.lseek(descriptor, 0, os.SEEK_END):
        yield DiskRefusal("its size differs from the one in sysfs")
    yield from iter_users(device, expected.sys)
    yield from _mux_refusals(expected, device)
    if not _leads_to(expected.node, descriptor):
        yield DiskRefusal("its name points to another disk by now")


def _mux_refusals(expected: ExpectedDisk, device: BlockDevice) -> Iterator[DiskRefusal]:
    """Yield the reasons to doubt that the disk is the one that followed the mux."""
    if device.key in expected.before:
        yield DiskRefusal("it was on the host while the storage was off, so it does not follow the mux")
    if expected.attachment not in {None, device.attachment}:
        yield DiskRefusal(
            "it is not the disk that the mux attached: it is another one, or was plugged in again"
        )
    for other in list_disks(expected.sys):
        if (
            other.key not in expected.before
            and other.key != device.key
            and _is_rival(expected, other, device)
        ):
            yield DiskRefusal(
                f"{other.name} came at the same time, so the stick cannot be identified",
                "pull the other one out, or wait until it stays, then do it again",
            )
    if expected.usb_names and device.usb_names != expected.usb_names:
        yield DiskRefusal(
            "it is not the disk that was opened a moment ago", "leave the stick in, and do it again"
        )


def _is_rival(expected: ExpectedDisk, other: BlockDevice, device: BlockDevice) -> bool:
    """Return True if another disk may be the stick as well.

    A disk that spins up has no size yet, like an empty slot beside the stick. If the stick's socket is known,
    only a second medium in that socket may be the stick.
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
    """Lock the disk, so that udev and other programs that ask for the lock do not read changing bytes."""
    until_s = time.monotonic() + _LOCK_LIMIT_S
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > until_s:
                raise _refused(expected, DiskRefusal("another program has locked it", BUSY.remedy)) from None
            time.sleep(_RETRY_EVERY_S)
        else:
            return


def _refused(expected: ExpectedDisk, refusal: DiskRefusal) -> WrongDiskError:
    return WrongDiskError(
        f"{expected.node} is not proven to be the board's stick, {expected.written}",
        why=refusal.why,
        remedy=refusal.remedy,
    )
