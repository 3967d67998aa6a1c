"""The running firmware: its tasks and the order in which they get the processor (firmware: main.rs).

`pump` runs tasks until no work is left. A transfer, DUT output or the end of a delay is queued first.
"""

from __future__ import annotations

import random
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from hil.sim.board.cpu import Cpu, Task, Ticker
from hil.sim.board.dfu import DfuRunTime
from hil.sim.board.endpoint_zero import EndpointZero
from hil.sim.board.endpoints import PACKET_BYTES, InEndpoint, OutEndpoint
from hil.sim.board.meter import Meter
from hil.sim.board.power_pins import PowerPins
from hil.sim.board.serial_port import SerialPort
from hil.sim.board.shell import Commands, Shell, ShellStatus
from hil.sim.board.shell_text import CONSOLE_LEFT
from hil.sim.board.uart import BoardTransmitter, ReceiveRegister
from hil.sim.board.vendor_requests import BoardFunctions, VendorRequests
from hil.sim.interfaces import Clock, Dut, MuxPosition, Urb

if TYPE_CHECKING:
    from collections.abc import Callable

    from hil.sim.board.descriptors import DescriptorSet
    from hil.sim.board.settings_flash import SettingsFlash

__all__ = ["BoardEnvironment", "FirmwareRun"]

_CONTROL: Final = 0
_CONSOLE_OUT: Final = 1
_NOTIFY_IN: Final = 0x81
_CONSOLE_IN: Final = 0x82
_CTRL_B: Final = 0x02
_LEAVE_COUNT: Final = 5
_EPROTO: Final = -71
"""Status of a transfer to an endpoint that does not exist."""


@dataclass(slots=True)
class BoardEnvironment:
    """Parts around the firmware that outlast its power.

    Attributes:
        clock: Simulated time.
        settings_flash: The settings.
        dut: The DUT on the board.
        descriptors: The board's descriptors.
        version: Version text, as the board reports it.
        noise: Source of the meter's noise.
        offset_seed: Seed for the offset of this board's current sensor.
        on_mux: Called when the stick's position changes.
        on_detach: Called when the firmware leaves for the boot loader.
    """

    clock: Clock
    settings_flash: SettingsFlash
    dut: Dut
    descriptors: DescriptorSet
    version: str
    noise: random.Random
    offset_seed: str
    on_mux: Callable[[MuxPosition], None]
    on_detach: Callable[[], None]


class FirmwareRun:
    """One run of the firmware, from power-up to power loss."""

    def __init__(self, environment: BoardEnvironment) -> None:
        self._environment = environment
        self._stopped = self._pumping = False
        self._order = 0
        self._control_queue: deque[tuple[int, Urb | None]] = deque()
        self._from_dut: deque[bytes] = deque()
        self._receiver = ReceiveRegister()
        self._ctrl_b_count = 0
        self.position = MuxPosition.OFF
        self.status = ShellStatus()
        environment.settings_flash.start()
        self._build_hardware()
        self._build_usb()

    def _build_hardware(self) -> None:
        environment = self._environment
        self.cpu = Cpu(environment.clock, self.pump, self._freeze, self._thaw)
        self._ticker = Ticker(environment.clock)
        self.meter = Meter(self._ticker, random.Random(environment.offset_seed), environment.noise)  # noqa: S311  # no secret
        self.pins = PowerPins(environment.dut.pin, environment.dut.supply)
        self._to_dut = BoardTransmitter(
            environment.clock, environment.dut.uart_to_dut, lambda: not self.status.console_mode, self.pump
        )

    def _build_usb(self) -> None:
        environment = self._environment
        self._notify, self.to_host, self._from_host = InEndpoint(), InEndpoint(), OutEndpoint()
        self._port = SerialPort(self.to_host, self._from_host)
        self._dfu = DfuRunTime(environment.clock, self._ticker, environment.on_detach)
        functions = BoardFunctions(
            self.pins, environment.settings_flash, self.meter, self._switch_storage, environment.version
        )
        self._vendor_requests = VendorRequests(functions)
        self._endpoint_zero = EndpointZero(
            environment.descriptors, (self._port, self._dfu, self._vendor_requests)
        )
        self._shell = Shell(self._port, self.status, Commands(functions, self.status, self._to_dut.enqueue))

    def submit(self, urb: Urb) -> None:
        """Queue a transfer; it completes in its turn."""
        self._order += 1
        address = urb.endpoint | (0x80 if urb.is_in else 0)
        if urb.endpoint == _CONTROL:
            self._control_queue.append((self._order, urb))
        elif address == _CONSOLE_OUT:
            self._from_host.add(urb, self._order)
        elif address == _CONSOLE_IN:
            self.to_host.add(urb)
        elif address == _NOTIFY_IN:
            self._notify.add(urb)
        else:
            urb.complete(_EPROTO, b"")
        self.pump()

    def cancel(self, urb: Urb) -> bool:
        """Cancel a transfer; return True if it was waiting."""
        for entry in self._control_queue:
            if entry[1] is urb:
                self._control_queue.remove(entry)
                return True
        return any(endpoint.cancel(urb) for endpoint in (self._notify, self.to_host, self._from_host))

    def bus_reset(self) -> None:
        """Queue a bus reset."""
        self._order += 1
        self._control_queue.append((self._order, None))
        self.pump()

    def uart_from_dut(self, data: bytes) -> None:
        """Queue bytes that arrive at the receive register."""
        self._from_dut.extend(data[at : at + PACKET_BYTES] for at in range(0, len(data), PACKET_BYTES))
        self.pump()

    def stop(self) -> list[Urb]:
        """Stop as without power; return the transfers that were waiting."""
        self._stopped = True
        self.cpu.halt()
        self._dfu.stop()
        self._to_dut.stop()
        urbs = [urb for _, urb in self._control_queue if urb is not None]
        self._control_queue.clear()
        for endpoint in (self._notify, self.to_host, self._from_host):
            urbs += endpoint.drain()
        self.pins.lose_power()
        self._switch_storage(MuxPosition.OFF)
        return urbs

    def pump(self) -> None:
        """Run tasks until no work is left.

        A call from inside a task returns at once; the outer call continues.
        """
        if self._pumping:
            return
        self._pumping = True
        try:
            while not self._stopped and self._step():
                pass
        finally:
            self._pumping = False

    def _step(self) -> bool:
        """Run one task or move one packet; return False if there is nothing to do."""
        if self._from_dut:
            self._usart_task(self._from_dut.popleft())
        elif self.cpu.may_step:
            self.cpu.step()
        elif self.cpu.busy:
            if not self.cpu.blocked or not self.to_host.hand_over():
                return False
            self.cpu.unblock()
        else:
            self._to_dut.run_until_now()
            return not self.usb_stopped and (self._refuse_halted() or self._begin_usb_task())
        return True

    @property
    def usb_stopped(self) -> bool:
        """Whether USB has stopped until the next power loss."""
        return self._endpoint_zero.stopped

    def _begin_usb_task(self) -> bool:
        if self.to_host.hand_over():
            self.cpu.run(self._usb_task(self._port.flush))
        elif self._is_out_next():
            if self._from_host.packet is None:
                self._from_host.accept()
            self.cpu.run(self._usb_task())
        elif self._control_queue:
            _, urb = self._control_queue.popleft()
            self.cpu.run(self._reset_task() if urb is None else self._control_task(urb))
        else:
            return False
        return True

    def _is_out_next(self) -> bool:
        """Return True if a packet from the host can be taken and came before the next control transfer.

        While the packet memory is full, the waiting packet interrupts again and again, and each time console
        mode moves the bytes that fit.
        """
        order = self._from_host.first_order
        if order is None or (self._from_host.packet is not None and not self._to_dut.room_bytes):
            return False
        return not self._control_queue or order < self._control_queue[0][0]

    def _refuse_halted(self) -> bool:
        for address, endpoint in (
            (_NOTIFY_IN, self._notify),
            (_CONSOLE_IN, self.to_host),
            (_CONSOLE_OUT, self._from_host),
        ):
            if address in self._endpoint_zero.halted and endpoint.stall():
                return True
        return False

    def _control_task(self, urb: Urb) -> Task:
        status, data = self._endpoint_zero.transfer(urb.setup, urb.data)
        urb.complete(status, data)
        if not self._stopped:
            yield from self._usb_task()

    def _usb_task(self, first: Callable[[], None] | None = None) -> Task:
        if first is not None:
            first()
        yield from self._vendor_requests.work()
        if self.status.console_mode:
            yield from self._console_work()
        else:
            yield from self._shell.work()

    def _reset_task(self) -> Task:
        """Empty buffers and packet memories after a bus reset."""
        self.to_host.packet = self._from_host.packet = None
        self._endpoint_zero.reset()
        yield from ()

    def _console_work(self) -> Task:
        """Pass bytes that fit to the DUT.

        The fifth Ctrl-B in a row passes, too, and then starts the shell.
        """
        data = self._port.read(self._to_dut.room_bytes)
        self._to_dut.enqueue(data)
        for byte in data:
            self._ctrl_b_count = self._ctrl_b_count + 1 if byte == _CTRL_B else 0
            if self._ctrl_b_count == _LEAVE_COUNT:
                self._ctrl_b_count = 0
                self.status.console_mode = self.status.monitor = False
                yield from self._port.write_all(CONSOLE_LEFT.encode())

    def _usart_task(self, data: bytes) -> None:
        if self.cpu.busy:
            self._receiver.arrive_unread(data)
        elif self.status.console_mode or self.status.monitor:
            self._show(data)

    def _show(self, data: bytes) -> None:
        """Write the DUT's output to the port; with `meter on`, add a reading after each CR.

        Bytes that do not fit are lost. Bytes come one by one, so the first one is sent alone if the endpoint
        is free.
        """
        if self.status.meter:
            trace = f"{self.meter.read().watts_text()}> ".encode()
            data = data.replace(b"\r", b"\r" + trace)
        self._port.write(data[:1])
        self._port.write(data[1:])

    def _switch_storage(self, position: MuxPosition) -> None:
        if position is not self.position:
            self.position = position
            self._environment.on_mux(position)

    def _freeze(self) -> None:
        self._ticker.freeze()
        self._to_dut.freeze()

    def _thaw(self) -> None:
        self._ticker.thaw()
        held = self._receiver.read()
        if held:
            self._from_dut.appendleft(held)
        self._to_dut.thaw()
        self._dfu.detach_if_due()
