"""Find the board that a user names: by serial number, by place, or by the name that a board stores."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from hil.dutlink.board import open_driver
from hil.dutlink.borrowed_lease import BORROWED
from hil.dutlink.discovery import GLANCE_S, list_boards, serials_on
from hil.dutlink.held_boards import held_boards
from hil.errors import BoardAbsentError, BoardBusyError, HilError, SpoiltFileError, UsageError, Verdict
from hil.lab.locks.acquire import acquire
from hil.lab.locks.lock_dir import lock_folder
from hil.nearest import meant

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from hil.dutlink.host import Host
    from hil.lab.config.lab import Lab

__all__ = ["resolve_serial", "several_boards", "with_place"]

_SERIAL = r"[0-9a-f]{8}"
_MOST_RECORDS = 100
"""How many records, the newest, are searched for the name of a board that is not plugged in."""


def resolve_serial(host: Host, lab: Lab, asked: str | None) -> str:
    """Return the serial number of the board that a user names.

    Args:
        host: The host of the boards.
        lab: The lab file.
        asked: A serial number, a place, a name that the host gives (`sim-1`) or a stored name; None for the
            board under whose lease this process was started, or for the only board of the host.

    Raises:
        UsageError: There are several boards and `asked` is None; or several boards store that name.
        BoardAbsentError: There is no board, or none of that name.
        BoardBusyError: A board that is in use stored that name when it was last read.
    """
    if not asked:
        return _only(host, lab)
    asked = asked.encode(errors="surrogateescape").decode(errors="surrogateescape")  # typed in the C locale
    if asked in lab.places or re.fullmatch(_SERIAL, asked):
        return lab.serial_of(asked)
    if asked in host.names:
        return host.names[asked]
    names, in_use = _stored_names(host)
    named = [serial for serial, name in names.items() if name == asked]
    if len(named) > 1:
        raise UsageError(
            f"{len(named)} boards store the name {asked}",
            why=f"they are {', '.join(named)}",
            remedy=f"--board {named[0]}; hil settings set name NAME renames one of them",
        )
    if named or asked in names:
        return named[0] if named else asked
    raise _no_board(host, lab, asked, names, in_use)


def with_place(error: BoardAbsentError, lab: Lab, serial: str) -> BoardAbsentError:
    """Return the error with the place that the lab file gives the absent board."""
    place = lab.missing(serial)
    why = "; ".join(filter(None, (error.why, place)))
    return type(error)(error.what, why=why, remedy=error.remedy, errno=error.errno, serial=serial)


def several_boards(host: Host, lab: Lab, serials: Sequence[str]) -> UsageError:
    """Return the error of a command that names none of several boards.

    Args:
        host: The host of the boards.
        lab: The lab file.
        serials: The boards.
    """
    names = {serial: lab.name_on(host, serial) for serial in serials}
    first = names[serials[0]] or serials[0]
    return UsageError(
        f"there are {len(serials)} boards, and the command names none of them",
        why=f"the boards are {', '.join(_called(names))}",
        remedy=f"--board {first}, or HIL_BOARD={first}",
    )


def _called(names: Mapping[str, str]) -> list[str]:
    """Return how people know boards, whose names are given by serial number."""
    return [f"{name} ({serial})" if name else serial for serial, name in names.items()]


def _only(host: Host, lab: Lab) -> str:
    serials = serials_on(host)
    leased = BORROWED.board() if BORROWED is not None else ""
    if leased in serials:
        return leased
    if len(serials) > 1:
        raise several_boards(host, lab, serials)
    if not serials:
        raise BoardAbsentError(
            f"no DUTLink board found on {host.label}",
            why="no device on the bus has a board's USB ids and a serial number",
            remedy=f"{host.remedy_without_boards}; hil doctor says what is wrong",
        )
    return serials[0]


def _stored_names(host: Host) -> tuple[dict[str, str], dict[str, BoardBusyError]]:
    """Return the stored name of each board by serial number, and the boards that are in use."""
    names, in_use = {}, {}
    for seen in list_boards(host):
        if seen.serial is None:
            continue
        names[seen.serial] = ""
        try:
            with acquire(seen.serial, test="reading its name", host=host) as lease:
                lease.leave_untouched()
                if seen.verdict is Verdict.PRESENT:
                    names[seen.serial] = _stored_name(host, seen.serial)
        except BoardBusyError as error:
            in_use[seen.serial] = error
        except SpoiltFileError:  # it can only be named by its serial number
            continue
    return names, in_use


def _stored_name(host: Host, serial: str) -> str:
    from hil.lab.safe_state.record import record_name  # noqa: PLC0415 - only for boards that are named

    try:
        with held_boards.any_board(), open_driver(host, serial, limit_s=GLANCE_S, console=False) as board:
            name = board.settings.read().name
            record_name(lock_folder(), board)
            return name
    except HilError:
        return ""


def _no_board(
    host: Host, lab: Lab, asked: str, names: dict[str, str], in_use: dict[str, BoardBusyError]
) -> BoardAbsentError | BoardBusyError:
    """Return the error for a name that no board has."""
    from hil.lab.safe_state.record import read_record  # noqa: PLC0415 - only for boards that are named

    for serial, error in in_use.items():
        if read_record(lock_folder(), serial).name == asked:
            return BoardBusyError(
                f"board {serial} is in use; it stored the name {asked} when it was last read",
                why=error.why,
                remedy=f"--board {serial} waits for it",
                serial=serial,
            )
    called = {serial: lab.name_on(host, serial, name) for serial, name in names.items()}
    unplugged = [name for name, place in lab.places.items() if place.serial not in names]
    known = f"the boards are {', '.join(_called(called) + unplugged)}"
    words = [*lab.places, *filter(None, called.values()), *names]
    if absent := _stored_by_absent(asked, names):
        return BoardAbsentError(
            f"board {absent}, which stores the name {asked}, was not found on {host.label}",
            why=known if called or unplugged else "no board was found",
            remedy=host.remedy_for_absent,
            serial=absent,
        )
    silent = f"; in use, and not asked for a name: {', '.join(in_use)}" if in_use else ""
    other = f"to name it by its serial number: --board {next(iter(in_use))}" if in_use else "hil boards"
    return BoardAbsentError(
        f"no board on {host.label}, and no place of the lab file, has the name {asked}",
        why=f"{known}{silent}" if called or unplugged else "no board was found",
        remedy=meant(asked, words) or other,
    )


def _stored_by_absent(asked: str, there: Collection[str]) -> str:
    """Return the absent board that stored this name when it was last read, or an empty string."""
    from hil.lab.safe_state.record import newest_boards, read_record  # noqa: PLC0415 - only for boards that are named

    folder = lock_folder()
    absent = (serial for serial in newest_boards(folder, _MOST_RECORDS) if serial not in there)
    return next((serial for serial in absent if read_record(folder, serial).name == asked), "")
