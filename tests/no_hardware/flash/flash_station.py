"""Flash cases on a simulated board, and the checks of its stick afterwards."""

from __future__ import annotations

import errno
import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from hil.boards.sources import simulated_host
from hil.dutlink.board import open_driver
from hil.dutlink.wiring import Wiring
from hil.errors import HilError
from hil.flash.progress import NoProgress
from hil.sim.process import SimulatorProcess
from tests.no_hardware.flash.bad_os import Trouble
from tests.no_hardware.flash.flash_case import STICK_BYTES, Fault

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.no_hardware.flash.bad_os import BadOs
    from tests.no_hardware.flash.flash_case import FlashCase

__all__ = ["FlashStation"]

_SPEED = 300.0
_ASK_EVERY = 4
"""The DUT itself is asked about the first success of a station, and about one in so many after it."""

_BLOCK_BYTES = 512
_HEAD_BYTES = 1 << 20
_PAGE_BYTES = 4096  # see hil.sim.stick.faulty_store
_STORAGE, _DUT = 2, 2  # bRequest and wValue of the request that would hand the stick over


class _At(NoProgress):
    """Progress that does something once, when so many bytes are done."""

    def __init__(self, size_bytes: int, act: Callable[[], None]) -> None:
        self._left = size_bytes
        self._act: Callable[[], None] | None = act

    def advance(self, size_bytes: int) -> None:
        self._left -= size_bytes
        if self._left <= 0 and self._act:
            act, self._act = self._act, None
            act()


class FlashStation:
    """One board in a simulator of its own; a `with` block ends it."""

    def __init__(self, bad_os: BadOs, folder: Path) -> None:
        self._bad_os = bad_os
        self._folder = folder
        folder.mkdir(parents=True)
        self._simulator = SimulatorProcess(boards=1, speed=_SPEED, stick_bytes=STICK_BYTES)
        self._serial = self._simulator.serials()[0]
        self._host = simulated_host(self._simulator.ready)
        self._wiring = Wiring(stick=Path(self._truth()["stick"]["node"]))
        self._stick = Path(self._truth()["stick"]["path"])
        self._board = self._open()
        self._flashed = 0
        self.digests = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._board.close()
        self._simulator.close()

    def play(self, case: FlashCase) -> str:
        """Flash a case; return `flashed` or `refused`, or raise AssertionError for a wrong result."""
        before = self._stick.read_bytes()
        image = case.write(self._folder)
        _, since = self._simulator.management.log(self._serial)
        progress = self._begin(case)
        try:
            outcome: Exception | KeyboardInterrupt | None = None
            self._board.storage.flash(image, progress=progress)
        except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001 - it is judged below
            outcome = error
        truth = self._truth()
        sent, _ = self._simulator.management.log(self._serial, since)
        self._end(case)
        self._judge(case, before, outcome, truth["mux"])
        assert not [one for one in sent if (one["bRequest"], one["wValue"]) == (_STORAGE, _DUT)], (
            f"{case}: dut"
        )
        if outcome is not None:
            return "refused"
        if self._flashed % _ASK_EVERY == 0:
            self._compare_at_the_console(case, before)
        self._flashed += 1
        return "flashed"

    def _judge(self, case: FlashCase, before: bytes, outcome: BaseException | None, mux: str) -> None:
        assert mux == "off", f"{case}: the stick is with {mux} after {outcome!r}"
        whole = self._stick.read_bytes()
        right = all(whole[at : at + len(data)] == data for at, data in case.mapped)
        if outcome is None:
            assert right, f"{case}: damage that was not detected"
            assert not case.fault.is_in_the_image or case.fault.may_go_unnoticed, f"{case}: it was taken"
            assert case.fault.may_go_unnoticed or case.fault.is_harmless, f"{case}: it went unnoticed"
            assert whole == _laid_out(case, before, whole), f"{case}: written where nothing belongs"
            return
        expected = KeyboardInterrupt if case.fault is Fault.INTERRUPTED else HilError
        assert isinstance(outcome, expected), f"{case}: {outcome!r}"
        assert not case.fault.is_harmless, f"{case}: {outcome!r}"
        if case.fault.leaves_an_honest_stick and not right and whole != before:
            assert not _boots(whole), f"{case}: a stick that is half written boots"

    def _begin(self, case: FlashCase) -> NoProgress:
        """Start the fault, and return the progress for the flash."""
        size = case.mapped_bytes
        near = int(case.at * size)
        fault, control = case.fault, self._simulator.management
        if fault is Fault.FLIPPED:
            control.fault(self._serial, "stick_flip", every=near + 1)
        if fault is Fault.DROPPED:
            control.fault(self._serial, "stick_drop", every=near // _BLOCK_BYTES + 1)
        if fault is Fault.COUNTERFEIT:
            control.fault(
                self._serial, "stick_counterfeit", real_bytes=near // _BLOCK_BYTES * _BLOCK_BYTES + 512
            )
        if fault is Fault.REMOVED:
            control.fault(self._serial, "stick_remove", after_bytes=near // 4 + 1)
        self._bad_os.troubles[str(self._host.dev)] = _trouble(fault, near)
        if fault is Fault.INTERRUPTED:
            return _At(near, _interrupt)
        if fault is Fault.BOARD_LOST:
            return _At(near, lambda: control.fault(self._serial, "unplug"))
        return NoProgress()

    def _end(self, case: FlashCase) -> None:
        self._bad_os.troubles.pop(str(self._host.dev), None)
        self._simulator.management.clear(self._serial)
        if case.fault is Fault.BOARD_LOST:
            self._board.close()
            self._board = self._open()

    def _compare_at_the_console(self, case: FlashCase, before: bytes) -> None:
        """Boot from the stick, and compare it with what the DUT reads."""
        expected = _laid_out(case, before, self._stick.read_bytes())
        board = self._board
        board.storage.dut()
        board.console.open()
        board.console.discard()
        board.power.force_on()
        try:
            board.console.login("root", "hil", timeout_s=30)
            said = board.console.run(f"sha256sum /dev/sda {STICK_BYTES}").output
        finally:
            board.power.force_off()
            board.storage.off()
            board.console.close()
        assert said.split()[0] == hashlib.sha256(expected).hexdigest(), f"{case}: the DUT sees other bytes"
        self.digests += 1

    def _truth(self) -> dict[str, Any]:
        return self._simulator.management.state(self._serial)

    def _open(self) -> Any:
        return open_driver(self._host, self._serial, self._wiring, console=False)


def _trouble(fault: Fault, near: int) -> Trouble:
    return {
        Fault.SHORT_TRANSFERS: Trouble(short=True),
        Fault.WRITE_EIO: Trouble(write_bytes=near),
        Fault.WRITE_ENOSPC: Trouble(write_bytes=near, error=errno.ENOSPC),
        Fault.READ_EIO: Trouble(read_bytes=near),
        Fault.SYNC_EIO: Trouble(sync_fails=True),
    }.get(fault, Trouble())


def _interrupt() -> None:
    raise KeyboardInterrupt


def _laid_out(case: FlashCase, before: bytes, now: bytes) -> bytes:
    """What a good stick holds after flashing: its boot region is the image's, and bytes after the image stay.

    A stick that flips bits may also do so in what shares the image's last page with it.
    """
    whole = bytearray(before)
    whole[:_HEAD_BYTES] = bytes(_HEAD_BYTES)
    for at, data in case.mapped:
        whole[at : at + len(data)] = data
    if case.fault is Fault.FLIPPED:
        shared = slice(len(case.content), -(-len(case.content) // _PAGE_BYTES) * _PAGE_BYTES)
        whole[shared] = now[shared]
    return bytes(whole)


def _boots(whole: bytes) -> bool:
    """Whether boot code of any kind would start from it: an MBR's signature, or a GPT's header."""
    return whole[510:512] == b"\x55\xaa" or whole[512:520] == b"EFI PART"
