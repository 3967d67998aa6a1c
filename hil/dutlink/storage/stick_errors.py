"""The errors of a stick: not there, elsewhere, still there, with several media, with an unverified image."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hil.errors import FlashError, StickAmbiguousError, StickMissingError, StickMovedError, StickStayedError

if TYPE_CHECKING:
    from hil.dutlink.storage.stick_memory import LearnedSocket
    from hil.dutlink.storage.usb_sockets import UsbDisk

__all__ = ["stick_missing", "stick_moved", "stick_stayed", "two_media", "unverified_image"]


def stick_missing(
    serial: str,
    timeout_s: float,
    known: LearnedSocket | None,
    claimed: list[tuple[UsbDisk, str, LearnedSocket]],
) -> StickMissingError:
    """Return the error for a stick that did not come in time.

    Args:
        serial: The board's serial number.
        timeout_s: The time, in seconds.
        known: The stick's learned socket, or None.
        claimed: Disks that came at sockets of other boards' sticks; see `LearnedSticks.claimed_by_others`.
    """
    what = f"board {serial}: no stick on the host {timeout_s:.1f} s after it was turned there"
    if not claimed:
        return StickMissingError(
            what,
            why=f"no USB disk came at socket {known.socket}" if known else "no USB disk appeared",
            remedy="see whether a stick is plugged into the board, and lsblk; after cabling has changed: "
            f"hil storage learn --board {serial}",
            serial=serial,
        )
    disk, other, learned = claimed[0]
    by = f"by the file {learned.source} of another user" if learned.source else "as it was learned"
    return StickMissingError(
        what,
        why=f"only {disk} came, where {by} the stick of board {other} comes",
        remedy=f"if that is wrong: hil storage learn --board {serial} (it trusts no other user's file)"
        if learned.source
        else f"if that is wrong: hil storage learn --board {other}, then --board {serial}",
        serial=serial,
    )


def stick_moved(serial: str, socket: str, others: list[UsbDisk]) -> StickMovedError:
    """Return the error for disks that came at another socket than the one where the stick was learned."""
    return StickMovedError(
        f"board {serial}: no stick came at USB socket {socket}, where it was learned to come",
        why=f"{' and '.join(map(str, others))} came instead, which may be another user's",
        remedy="put the board's cable back; or, if the stick is to come elsewhere from now on: "
        f"hil storage learn --board {serial}",
        serial=serial,
    )


def stick_stayed(serial: str, there: str, timeout_s: float, position: str) -> StickStayedError:
    """Return the error for a disk that did not go after the storage was turned to `position`."""
    return StickStayedError(
        f"{there} is still there {timeout_s:.1f} s after the storage was turned to {position}",
        why="it is not this board's stick, or the mux did not turn",
        remedy=f"see which disk follows the board: hil storage learn --board {serial}",
        serial=serial,
    )


def two_media(disk: UsbDisk) -> StickAmbiguousError:
    """Return the error for a card reader with several cards."""
    return StickAmbiguousError(
        f"{len(disk.media)} disks at USB socket {disk.socket} follow the mux",
        why=" and ".join(medium.name for medium in disk.media),
        remedy="leave one card in the reader",
    )


def unverified_image(serial: str, image: str) -> FlashError:
    """Return the error for a stick that may boot an image that was written and not read back."""
    return FlashError(
        f"board {serial}: the stick was not attached to the DUT: {image} was written but not verified",
        why="the flash was interrupted before verification",
        remedy=f"hil flash --board {serial} once more, which writes only what differs; "
        f"or hil storage dut --force --board {serial} (force=True in Python)",
        serial=serial,
    )
