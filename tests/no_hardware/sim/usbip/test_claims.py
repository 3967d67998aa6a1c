"""Claims and kernel drivers of the simulated host, over USB/IP."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from hil.sim.usbip.urbs import Call, HostCall

if TYPE_CHECKING:
    from tests.support.usbip_bench import (
        ServerBench,
    )


@pytest.mark.usefixtures("port")
def test_claim_of_an_interface_with_a_kernel_driver_is_busy(bench: ServerBench) -> None:
    with bench.client() as client:
        client.take("1-1", sharer=1)

        assert client.call(HostCall.CLAIM, 0) == -16


@pytest.mark.usefixtures("port")
def test_claim_of_an_interface_of_another_process_is_busy(bench: ServerBench) -> None:
    with bench.client() as first, bench.client() as second:
        first.take("1-1", sharer=1)
        second.take("1-1", sharer=2)
        first.call(HostCall.CLAIM, 2)

        assert second.call(HostCall.CLAIM, 2) == -16


@pytest.mark.usefixtures("port")
def test_claim_ends_with_its_process(bench: ServerBench) -> None:
    with bench.client() as second:
        second.take("1-1", sharer=2)
        with bench.client() as first:
            first.take("1-1", sharer=1)
            first.call(HostCall.CLAIM, 2)
            first.socket.shutdown(1)
            first.rest()

        assert second.call(HostCall.CLAIM, 2) == 0


@pytest.mark.usefixtures("port")
def test_detached_driver_is_detached_for_all_processes(bench: ServerBench) -> None:
    with bench.client() as first, bench.client() as second:
        first.take("1-1", sharer=1)
        second.take("1-1", sharer=2)
        first.call(HostCall.DETACH_DRIVER, 0)

        assert second.call(HostCall.DRIVER_ACTIVE, 1) == 0


@pytest.mark.usefixtures("port")
def test_host_call_of_a_stock_client_ends_its_connection(bench: ServerBench) -> None:
    with bench.client() as client:
        client.take("1-1")
        client.send(Call(1, HostCall.CLAIM, 0).format())

        assert client.rest() == b""
