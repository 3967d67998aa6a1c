"""USB/IP messages: parse and format are inverses, and the sizes are those of the kernel."""

from __future__ import annotations

import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hil.sim.usb_identity import UsbIdentity
from hil.sim.usbip import messages, urbs
from hil.sim.usbip.urbs import Call, Command, HostCall, Reply, Submit, Unlink

U8 = st.integers(0, 0xFF)
U16 = st.integers(0, 0xFFFF)
U32 = st.integers(0, 0xFFFFFFFF)
TRIPLES = st.tuples(U8, U8, U8)
BUSIDS = st.from_regex(r"[0-9]{1,2}-[0-9]{1,2}(\.[0-9])?", fullmatch=True)

IDENTITIES = st.builds(
    UsbIdentity,
    vendor_id=U16,
    product_id=U16,
    bcd_device=U16,
    device_class=TRIPLES,
    interfaces=st.lists(TRIPLES, max_size=8).map(tuple),
    speed=st.integers(1, 6),
    configuration_value=U8,
)
RECORDS = st.builds(
    messages.DeviceRecord, busid=BUSIDS, busnum=U32, devnum=U32, identity=IDENTITIES, descriptors=st.binary()
)


@given(RECORDS)
def test_device_record_has_the_kernels_312_bytes(record: messages.DeviceRecord) -> None:
    raw = record.format()

    assert len(raw) == 312


@given(st.lists(RECORDS, max_size=4))
def test_host_listing_round_trip(records: list[messages.DeviceRecord]) -> None:
    raw = messages.format_list(records, for_host=True)

    assert messages.parse_list(raw, for_host=True) == records


@given(st.lists(RECORDS, max_size=4))
def test_stock_list_has_no_descriptors(records: list[messages.DeviceRecord]) -> None:
    raw = messages.format_list(records)

    assert len(raw) == 4 + sum(312 + 4 * len(record.identity.interfaces) for record in records)


@given(st.lists(RECORDS, min_size=1, max_size=3), st.data())
def test_cut_list_is_refused(records: list[messages.DeviceRecord], data: st.DataObject) -> None:
    raw = messages.format_list(records, for_host=True)
    cut = raw[: data.draw(st.integers(0, len(raw) - 1))]

    with pytest.raises(messages.WireError):
        messages.parse_list(cut, for_host=True)


@given(BUSIDS, st.none() | st.integers(1, 1 << 22))
def test_import_request_round_trip(busid: str, sharer: int | None) -> None:
    request = messages.ImportRequest(busid, sharer)

    assert messages.ImportRequest.parse(request.format()) == request


@given(BUSIDS)
def test_stock_server_sees_a_plain_bus_id_in_a_shared_import(busid: str) -> None:
    raw = messages.ImportRequest(busid, 4711).format()

    assert len(raw) == 32
    assert raw.partition(b"\0")[0].decode() == busid


def test_import_request_with_garbage_is_a_stock_import() -> None:
    raw = b"1-1\0hil:no number".ljust(32, b"\0")

    assert messages.ImportRequest.parse(raw) == messages.ImportRequest("1-1")


def test_another_protocol_version_is_refused() -> None:
    raw = struct.pack(">HHI", 0x0106, 0x8005, 0)

    with pytest.raises(messages.WireError, match="0x0106"):
        messages.OperationHeader.parse(raw)


SUBMITS = st.builds(
    Submit,
    seqnum=U32,
    is_in=st.booleans(),
    endpoint=st.integers(0, 15),
    length=st.integers(0, urbs.LIMIT_BYTES),
    setup=st.binary(min_size=8, max_size=8),
    devid=U32,
    flags=U32,
    interval=U32,
)
UNLINKS = st.builds(Unlink, seqnum=U32, target=U32, devid=U32)
CALLS = st.builds(Call, seqnum=U32, what=st.sampled_from(HostCall), interface=U32)


@given(SUBMITS | UNLINKS | CALLS)
def test_command_round_trip(command: Any) -> None:
    raw = command.format()

    assert urbs.parse_command(raw) == command


@given(
    st.sampled_from([Command.RETURN_SUBMIT, Command.RETURN_UNLINK]),
    U32,
    st.integers(-4095, 0),
    st.integers(0, urbs.LIMIT_BYTES),
)
def test_reply_round_trip(command: Any, seqnum: int, status: int, actual: int) -> None:
    reply = Reply(command, seqnum, status, actual)

    assert Reply.parse(reply.format()) == reply


@given(st.binary(min_size=48, max_size=48))
def test_any_48_bytes_are_a_command_or_a_wire_error(raw: bytes) -> None:
    try:
        command = urbs.parse_command(raw)
    except messages.WireError:
        return

    assert isinstance(command, Submit | Unlink | Call)


@pytest.mark.parametrize("packets", [0, 0xFFFFFFFF])
def test_non_isochronous_transfer_has_either_packet_count(packets: int) -> None:
    raw = bytearray(Submit(7, True, 2, 64).format())
    raw[32:36] = packets.to_bytes(4, "big")

    assert urbs.parse_command(bytes(raw)) == Submit(7, True, 2, 64)


@pytest.mark.parametrize(
    "change",
    [
        pytest.param((0, 9), id="an unknown command"),
        pytest.param((12, 2), id="a third direction"),
        pytest.param((16, 16), id="endpoint 16"),
        pytest.param((24, 0x7FFFFFFF), id="2 GiB at once"),
        pytest.param((32, 8), id="isochronous packets"),
    ],
)
def test_command_that_no_device_can_answer_is_refused(change: tuple[int, int]) -> None:
    at, value = change
    raw = bytearray(Submit(7, True, 2, 64).format())
    raw[at : at + 4] = value.to_bytes(4, "big")

    with pytest.raises(messages.WireError):
        urbs.parse_command(bytes(raw))
