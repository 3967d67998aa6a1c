"""Find boards on a host's USB bus, and probe one: is it there, may it be opened, does it answer?

Linux makes two delays, for which a probe is repeated. A board that was unplugged is still listed for half a
second, and one that was just plugged in cannot be opened until udev has set its permissions.
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from hil.dutlink.candidate import Candidate, candidates, chip_boot_loader_seen
from hil.dutlink.timing import ANSWER_LIMIT_S, GLANCE_S, Deadline, sleep
from hil.dutlink.usb.firmware import FirmwareVersion, check_firmware, flash_command
from hil.errors import (
    BoardAbsentError,
    BoardFaultError,
    BoardInBootLoaderError,
    BoardLostError,
    BoardReplyError,
    BoardTimeoutError,
    FirmwareTooOldError,
    HilError,
    RequestStalledError,
    TwinBoardsError,
    UnavailableError,
    Verdict,
)

if TYPE_CHECKING:
    from hil.dutlink.host import Host
    from hil.dutlink.usb.control_link import ControlLink

__all__ = [
    "ANSWER_LIMIT_S",
    "GLANCE_S",
    "OpenProbe",
    "ProbeResult",
    "list_boards",
    "open_link",
    "open_twin_links",
    "probe",
    "serials_on",
]

RECHECK_S = 1.0
"""Seconds for which a board that is leaving, or that udev has not set up yet, is probed again."""

_RECHECK_EVERY_S = 0.1
_USEFULNESS = (
    Verdict.PRESENT,
    Verdict.FAULTY,
    Verdict.DENIED,
    Verdict.BUSY,
    Verdict.LOST,
    Verdict.ABSENT,
    Verdict.NO_BACKEND,
)


class ProbeResult(NamedTuple):
    """What one probe of a board found.

    Attributes:
        verdict: Whether it can be used, and if not, why.
        serial: Its serial number, which the kernel lists even if the board is silent or cannot be opened;
            None if neither kernel nor board gives it.
        firmware: Its version; if the board did not answer, the version in the bus listing, without a commit.
        error: What opening it would raise; None if it is present.
        location: Bus and address, for messages; empty if the board is absent.
    """

    verdict: Verdict
    serial: str | None = None
    firmware: FirmwareVersion | None = None
    error: HilError | None = None
    location: str = ""


class OpenProbe:
    """The result of a probe, with an open link if the board is present. The caller must release it.

    Args:
        result: What the probe found.
        link: The open link, or None if the board is not present.
        silent: Whether the board did not answer in time; it may answer later.
        leaving: Whether it failed as an unplugged board does; a second probe will tell.
    """

    def __init__(
        self,
        result: ProbeResult,
        link: ControlLink | None = None,
        *,
        silent: bool = False,
        leaving: bool = False,
    ) -> None:
        self.result = result
        self.link = link
        self.silent = silent
        self.leaving = leaving

    @classmethod
    def failed(
        cls,
        error: HilError,
        serial: str | None,
        firmware: FirmwareVersion | None = None,
        location: str = "",
    ) -> Self:
        """Return the probe of a board that failed with `error`.

        A board that is listed but fails is lost, unless the error is more specific. A board that refuses a
        request, sends a malformed reply, has the serial number of another board or runs an old firmware is
        faulty.
        """
        if isinstance(error, RequestStalledError | BoardReplyError | TwinBoardsError | FirmwareTooOldError):
            return cls(ProbeResult(Verdict.FAULTY, serial, firmware, error, location))
        known = isinstance(error, UnavailableError) and not isinstance(error, BoardAbsentError)
        finding = error if known and isinstance(error, UnavailableError) else _lost(error, serial)
        result = ProbeResult(finding.verdict, serial, firmware, finding, location)
        silent = isinstance(error, BoardTimeoutError)
        return cls(result, silent=silent, leaving=finding.verdict is Verdict.LOST and not silent)

    def release(self) -> None:
        """Close the link, if there is one."""
        if self.link is not None:
            self.link.close()
            self.link = None


def list_boards(host: Host, limit_s: float = GLANCE_S) -> list[ProbeResult]:
    """Probe every board on the host, giving each `limit_s` seconds to answer.

    A board in the middle of a power sequence does not answer and is listed as lost; `probe` waits for it.

    Raises:
        NoUsbBackendError: libusb cannot be loaded.
    """
    recheck = Deadline(RECHECK_S)
    while True:
        seen = [_probe_candidate(candidate, limit_s) for candidate in candidates(host)]
        for one in seen:
            one.release()
        if recheck.passed or not any(one.leaving for one in seen):
            return [one.result for one in seen]
        sleep(_RECHECK_EVERY_S)


def serials_on(host: Host) -> list[str]:
    """Return the serial numbers of the boards on a host, each once; raises as `list_boards` does.

    An only board whose number the kernel lists gets no request: another process may be using it.
    """
    found = candidates(host)
    if len(found) == 1 and found[0].listed_serial:
        return [found[0].listed_serial]
    return list({one.serial: None for one in list_boards(host) if one.serial})


def probe(host: Host, serial: str | None = None, limit_s: float = ANSWER_LIMIT_S) -> ProbeResult:
    """Probe one board, and close it again.

    Args:
        host: Where to look.
        serial: Which board; None takes the first that can be used.
        limit_s: Seconds for which the board may be silent, since it may be running a power sequence.

    Returns:
        What was found. If the board or the USB backend cannot be used, the error is in the result.
    """
    opened = open_link(host, serial, limit_s)
    opened.release()
    return opened.result


def open_link(host: Host, serial: str | None = None, limit_s: float = ANSWER_LIMIT_S) -> OpenProbe:
    """Probe one board as `probe` does, and keep the link open if the board is present."""
    recheck = Deadline(RECHECK_S)
    while True:
        try:
            opened = _survey(host, serial, limit_s)
        except UnavailableError as error:  # there is no backend, or the exporter is lost
            return OpenProbe(ProbeResult(error.verdict, serial, error=error))
        except BoardFaultError as error:
            opened = OpenProbe.failed(error, serial)
        may_change = opened.leaving or opened.result.verdict is Verdict.DENIED
        if recheck.passed or not may_change:
            return opened
        sleep(_RECHECK_EVERY_S)


def open_twin_links(host: Host, serial: str, limit_s: float = ANSWER_LIMIT_S) -> list[OpenProbe]:
    """Probe each of several boards with one serial number, and keep the links to those that are present.

    Only to make all of them safe: which of them a lease means is not known.
    """
    twins = [one for one in candidates(host) if one.listed_serial == serial]
    return [_probe_candidate(one._replace(twins=()), limit_s) for one in twins]


def _survey(host: Host, serial: str | None, limit_s: float) -> OpenProbe:
    """Probe the candidates until the wanted board is found.

    If there are several, each gets `GLANCE_S` first, so that a board that is busy with a power sequence does
    not delay the use of another. Only then are silent boards waited for. A board that the kernel lists with
    another serial number is not probed.
    """
    found = [one for one in candidates(host) if serial is None or one.listed_serial in {serial, None}]
    if len(found) > 1 and limit_s > GLANCE_S:
        best, silent = _first_usable(found, serial, GLANCE_S)
        if not silent:
            return best or _absent(host, serial)
        if best is not None and best.link is not None:
            return best
    best, _ = _first_usable(found, serial, limit_s)
    return best or _absent(host, serial)


def _first_usable(
    found: list[Candidate], serial: str | None, limit_s: float
) -> tuple[OpenProbe | None, bool]:
    """Return the wanted board or the most usable candidate, and whether any candidate was silent."""
    seen = []
    for candidate in found:
        opened = _probe_candidate(candidate, limit_s)
        if serial is not None and opened.result.serial not in (serial, None):
            opened.release()
        elif opened.link is not None:
            return opened, False
        else:
            seen.append(opened)
    best = min(seen, key=lambda one: _USEFULNESS.index(one.result.verdict), default=None)
    return best, any(one.silent for one in seen)


def _absent(host: Host, serial: str | None) -> OpenProbe:
    others = candidates(host) if serial is not None else []
    remedy, why = host.remedy_without_boards, "nothing with its USB ids is on the bus"
    if others:
        remedy = host.remedy_for_absent
        named = ", ".join(one.listed_serial for one in others if one.listed_serial)
        why = f"only other boards are on the bus{f': {named}' if named else ''}"
    elif chip_boot_loader_seen(host):
        why = "but an STM32 in its factory boot loader (0483:df11) is: perhaps a board without firmware"
    error = BoardAbsentError(
        f"no {f'board {serial}' if serial else 'DUTLink board'} is there ({host.label})",
        why=why,
        remedy=remedy,
        serial=serial,
    )
    return OpenProbe(ProbeResult(error.verdict, serial, error=error))


def _probe_candidate(candidate: Candidate, limit_s: float) -> OpenProbe:
    """Read a device's serial number and version, within `limit_s` seconds for both."""
    deadline = Deadline(limit_s)
    serial = candidate.listed_serial
    try:
        serial = candidate.read_serial(deadline.left_s)
        if not candidate.boot_loader:
            return _present(candidate, serial, deadline)
    except HilError as error:
        if not candidate.boot_loader:
            candidate.close()
            return OpenProbe.failed(error, serial, candidate.firmware, candidate.location)
    candidate.close()
    return _in_boot_loader(candidate, serial)


def _present(candidate: Candidate, serial: str, deadline: Deadline) -> OpenProbe:
    link = candidate.link(serial)
    try:
        firmware = FirmwareVersion.parse(link.wait_ready(deadline.left_s))
    except (RequestStalledError, BoardReplyError):
        firmware = candidate.firmware  # a malformed reply still shows that the board is there
    check_firmware(firmware, serial)
    return OpenProbe(ProbeResult(Verdict.PRESENT, serial, firmware, location=candidate.location), link)


def _in_boot_loader(candidate: Candidate, serial: str | None) -> OpenProbe:
    ids = f"{candidate.device.idVendor:04x}:{candidate.device.idProduct:04x}"
    error = BoardInBootLoaderError(
        f"board {serial or 'at ' + candidate.location} is in DFU mode ({ids})",
        why="its boot loader waits for firmware; it cannot run tests",
        remedy="let an update that runs finish, else replug it; if it comes back in DFU mode, flash its "
        f"firmware: {flash_command(serial)}",
        serial=serial,
    )
    return OpenProbe(ProbeResult(error.verdict, serial, error=error, location=candidate.location))


def _lost(error: HilError, serial: str | None) -> BoardLostError:
    return BoardLostError(
        error.what, why=error.why, remedy=error.remedy, errno=error.errno, serial=error.serial or serial
    )


def __getattr__(name: str) -> Any:  # noqa: ANN401 - a function or a class
    """Return what had another name until 0.1."""
    renamed: dict[str, Any] = {"look": probe, "Sighting": ProbeResult}
    if name not in renamed:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    warnings.warn(f"{name} is now {renamed[name].__name__}", DeprecationWarning, stacklevel=2)
    return renamed[name]
