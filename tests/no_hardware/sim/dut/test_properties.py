from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hil.sim.dut.uart import BYTES_PER_S
from hil.sim.interfaces import ControlPin, PinLevel
from tests.support.dut_bench import DutBench, MemoryStick, bootable_stick

TYPED = st.lists(
    st.one_of(
        st.binary(max_size=20),
        st.sampled_from(
            [
                b"\r",
                b"\x03",
                b"\x04",
                b"root\r",
                b"hil\r",
                b"reboot\r",
                b"poweroff\r",
                b"load 1\r",
                b"dmesg\r",
            ]
        ),
    ),
    max_size=12,
)
ACTS = st.lists(
    st.one_of(
        st.tuples(st.just("supply"), st.booleans()),
        st.tuples(st.just("pin"), st.tuples(st.sampled_from(ControlPin), st.sampled_from(PinLevel))),
        st.tuples(st.just("stick"), st.booleans()),
        st.tuples(st.just("type"), st.sampled_from([b"\r", b"root\rhil\r", b"load 9\r", b"boot\r", b"\x03"])),
        st.tuples(st.just("wait"), st.floats(0.0, 3.0)),
    ),
    max_size=15,
)


@pytest.fixture(scope="module")
def stick(tmp_path_factory: pytest.TempPathFactory) -> MemoryStick:
    return bootable_stick(tmp_path_factory.mktemp("image"))


def _act(bench: DutBench, stick: MemoryStick, what: str, how: object) -> None:
    match what, how:
        case "supply", bool(on):
            bench.dut.supply(on)
        case "pin", (ControlPin() as pin, PinLevel() as level):
            bench.dut.pin(pin, level)
        case "stick", bool(given_):
            bench.dut.stick(stick if given_ else None)
        case "type", bytes(data):
            bench.dut.uart_to_dut(data)
        case "wait", float(seconds):
            bench.clock.advance(seconds)


@given(typed=TYPED)
@settings(max_examples=40, deadline=None)
def test_dut_survives_any_typed_bytes(stick: MemoryStick, typed: list[bytes]) -> None:
    bench = DutBench(stick)
    bench.boot()

    for data in typed:
        bench.dut.uart_to_dut(data)
        bench.clock.advance(0.3)

    bench.dut.supply(on=False)
    assert bench.boot()


@given(acts=ACTS)
@settings(max_examples=60, deadline=None)
def test_dut_boots_after_a_power_cycle_from_any_state(
    stick: MemoryStick, acts: list[tuple[str, object]]
) -> None:
    bench = DutBench(stick)
    for what, how in acts:
        _act(bench, stick, what, how)
    for pin in ControlPin:
        bench.dut.pin(pin, PinLevel.FLOATING)
    bench.dut.stick(stick)
    bench.dut.supply(on=False)
    bench.printed = ""

    assert bench.boot()


@given(acts=ACTS)
@settings(max_examples=60, deadline=None)
def test_dut_output_is_never_faster_than_the_line(stick: MemoryStick, acts: list[tuple[str, object]]) -> None:
    bench = DutBench(stick)

    for what, how in acts:
        _act(bench, stick, what, how)

    assert len(bench.printed) <= bench.clock.now() * BYTES_PER_S + 1


@given(acts=ACTS)
@settings(max_examples=60, deadline=None)
def test_dut_reports_its_true_draw_after_any_events(
    stick: MemoryStick, acts: list[tuple[str, object]]
) -> None:
    bench = DutBench(stick)

    for what, how in acts:
        _act(bench, stick, what, how)

    state = bench.dut.state()
    assert (state["draw_amps"], state["volts"]) == (bench.draws or [(0.0, 0.0)])[-1]
