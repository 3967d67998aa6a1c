"""The stick as a USB disk: bulk-only transport and SCSI, as used by Linux' usb-storage."""

from __future__ import annotations

import errno

import pytest

from hil.sim.interfaces import Urb
from hil.sim.stick.usb_disk import UsbStick

SIZE_BYTES = 8 << 20
OUT, IN = 1, 2
READ_10, WRITE_10, INQUIRY, REQUEST_SENSE, READ_CAPACITY = 0x28, 0x2A, 0x12, 0x03, 0x25
MEDIUM_ERROR = 3
PIPE = -32


class MemoryStore:
    def __init__(self) -> None:
        self.size_bytes = SIZE_BYTES
        self.content = bytearray(SIZE_BYTES)
        self.broken = False

    def read(self, offset: int, length: int) -> bytes:
        self._look()
        return bytes(self.content[offset : offset + length])

    def write(self, offset: int, data: bytes) -> None:
        self._look()
        self.content[offset : offset + len(data)] = data

    def _look(self) -> None:
        if self.broken:
            raise OSError(errno.EIO, "broken")


class Disk:
    """A stick and a host's side of it."""

    def __init__(self) -> None:
        self.store = MemoryStore()
        self.stick = UsbStick("0123456789AB", self.store)
        self.control(bytes((0x00, 9, 1, 0, 0, 0, 0, 0)))

    def transfer(
        self, endpoint: int, is_in: bool, data: bytes, length: int, setup: bytes = bytes(8)
    ) -> tuple[int, bytes] | None:
        answers: list[tuple[int, bytes]] = []
        self.last = Urb(endpoint, is_in, setup, data, length, "test", lambda *answer: answers.append(answer))
        self.stick.submit(self.last)
        return answers[0] if answers else None

    def control(self, setup: bytes) -> tuple[int, bytes] | None:
        return self.transfer(0, bool(setup[0] & 0x80), b"", int.from_bytes(setup[6:8], "little"), setup)

    def command(self, scsi: bytes, length: int, is_in: bool) -> None:
        wrapper = b"USBC" + b"tag!" + length.to_bytes(4, "little") + bytes((0x80 * is_in, 0, len(scsi)))
        self.transfer(OUT, False, (wrapper + scsi).ljust(31, b"\0"), 31)

    def read(self, scsi: bytes, length: int) -> tuple[bytes, int]:
        """Return the data of a reading command and its status."""
        self.command(scsi, length, is_in=True)
        status, data = self.transfer(IN, True, b"", length) or (0, b"")
        if status == PIPE:
            self.control(bytes((0x02, 1, 0, 0, 0x80 | IN, 0, 0, 0)))
        return data, self.status()

    def write(self, scsi: bytes, data: bytes) -> int:
        self.command(scsi, len(data), is_in=False)
        self.transfer(OUT, False, data, len(data))
        return self.status()

    def status(self) -> int:
        _, wrapper = self.transfer(IN, True, b"", 13) or (0, bytes(13))
        assert wrapper[:8] == b"USBStag!"
        return wrapper[12]


def blocks(code: int, lba: int, count: int) -> bytes:
    return bytes((code, 0)) + lba.to_bytes(4, "big") + b"\0" + count.to_bytes(2, "big") + b"\0"


@pytest.fixture
def disk() -> Disk:
    return Disk()


def test_usb_stick_is_a_high_speed_disk(disk: Disk) -> None:
    assert (disk.stick.identity.speed, disk.stick.identity.interfaces) == (3, ((8, 6, 0x50),))


def test_usb_stick_has_bulk_packets_of_512_bytes(disk: Disk) -> None:
    _, configuration = disk.control(bytes((0x80, 6, 0, 2, 0, 0, 255, 0))) or (0, b"")

    assert configuration[22:24] == configuration[29:31] == (512).to_bytes(2, "little")


def test_usb_stick_has_its_serial_number_as_string_descriptor(disk: Disk) -> None:
    _, string = disk.control(bytes((0x80, 6, 3, 3, 9, 4, 255, 0))) or (0, b"")

    assert string[2:].decode("utf-16-le") == "0123456789AB"


def test_usb_stick_answers_inquiry(disk: Disk) -> None:
    data, status = disk.read(bytes((INQUIRY, 0, 0, 0, 36, 0)), 36)

    assert (data[8:16], data[16:32], status) == (b"HIL     ", b"Simulated Stick ", 0)


def test_usb_stick_answers_read_capacity(disk: Disk) -> None:
    data, _ = disk.read(bytes((READ_CAPACITY,)) + bytes(9), 8)

    assert data == (SIZE_BYTES // 512 - 1).to_bytes(4, "big") + (512).to_bytes(4, "big")


def test_usb_stick_returns_written_bytes(disk: Disk) -> None:
    written = disk.write(blocks(WRITE_10, 3, 2), b"a" * 1024)

    assert written == 0
    assert disk.read(blocks(READ_10, 3, 2), 1024) == (b"a" * 1024, 0)


def test_read_that_fails_is_a_medium_error(disk: Disk) -> None:
    disk.store.broken = True
    _, status = disk.read(blocks(READ_10, 0, 1), 512)

    sense, _ = disk.read(bytes((REQUEST_SENSE, 0, 0, 0, 18, 0)), 18)

    assert (status, sense[2], sense[12]) == (1, MEDIUM_ERROR, 0x11)


def test_write_that_fails_is_a_medium_error(disk: Disk) -> None:
    disk.store.broken = True
    status = disk.write(blocks(WRITE_10, 0, 1), bytes(512))

    sense, _ = disk.read(bytes((REQUEST_SENSE, 0, 0, 0, 18, 0)), 18)

    assert (status, sense[2], sense[12]) == (1, MEDIUM_ERROR, 0x0C)


def test_usb_stick_works_again_after_an_error(disk: Disk) -> None:
    disk.store.broken = True
    disk.write(blocks(WRITE_10, 0, 1), bytes(512))
    disk.store.broken = False

    assert disk.write(blocks(WRITE_10, 0, 1), bytes(512)) == 0


def test_usb_stick_ignores_a_command_without_bytes(disk: Disk) -> None:
    disk.command(b"", 0, is_in=False)

    assert disk.read(bytes((INQUIRY, 0, 0, 0, 36, 0)), 36)[1] == 0


def test_read_that_waits_can_be_cancelled(disk: Disk) -> None:
    waiting = disk.transfer(IN, True, b"", 13)

    assert (waiting, disk.stick.cancel(disk.last), disk.stick.cancel(disk.last)) == (None, True, False)


def test_bus_reset_drops_an_unfinished_command(disk: Disk) -> None:
    disk.command(blocks(WRITE_10, 0, 2), 1024, is_in=False)
    disk.transfer(OUT, False, bytes(512), 512)

    disk.stick.reset()

    assert disk.read(bytes((INQUIRY, 0, 0, 0, 36, 0)), 36)[1] == 0
