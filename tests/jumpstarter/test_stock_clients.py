"""Jumpstarter's own clients can use hil's driver, over TLS."""

from __future__ import annotations

import gzip
from typing import TYPE_CHECKING, Any

import grpc
import pytest
from anyio import BrokenResourceError
from jumpstarter.client.core import DriverError

from hil.errors import BoardBusyError
from hil.lab.locks.acquire import acquire
from hil.sim.dut.image import build_image
from tests.jumpstarter.exporters import wait_for
from tests.jumpstarter.stock_client import connected

if TYPE_CHECKING:
    from pathlib import Path

    from hil.sim.management.client import ManagementClient
    from tests.jumpstarter.certificates import Certificate
    from tests.jumpstarter.exporters import DirectExporter

AMPS_OF_A_RUNNING_DUT = 0.1


def truth(control: ManagementClient, board: str) -> dict[str, Any]:
    return control.state(board)


def test_power_on_and_off_switch_the_supply(stock: Any, control: ManagementClient, boards: list[str]) -> None:
    stock.power.on()
    on = truth(control, boards[0])["supply"]

    stock.power.off()

    assert on
    assert not truth(control, boards[0])["supply"]


def test_power_read_streams_readings_of_the_running_dut(stock: Any) -> None:
    stock.power.on()

    amps = (reading.current for reading in stock.power.read())

    assert next(value for value in amps if value > AMPS_OF_A_RUNNING_DUT)


def test_force_off_cuts_the_power_in_one_call(
    stock: Any, control: ManagementClient, boards: list[str]
) -> None:
    stock.power.on()

    stock.power.call("force_off")

    assert not truth(control, boards[0])["supply"]


def test_storage_moves_the_mux_both_ways(stock: Any, control: ManagementClient, boards: list[str]) -> None:
    stock.storage.host()
    on_host = truth(control, boards[0])["mux"]

    stock.storage.dut()

    assert (on_host, truth(control, boards[0])["mux"]) == ("host", "dut")
    stock.storage.off()
    assert truth(control, boards[0])["mux"] == "off"


def test_console_works_both_ways(stock: Any) -> None:
    with stock.console.pexpect() as console:
        stock.power.on()
        console.expect_exact("boot> ", timeout=30)
        console.send("\r")

        console.expect_exact("boot> ", timeout=30)


def test_console_can_be_opened_again_by_the_same_client(stock: Any) -> None:
    stock.power.on()

    for _ in range(3):
        with stock.console.stream() as console:
            console.send(b"\r")
            assert console.receive()


def test_console_is_refused_while_it_is_open(stock: Any) -> None:
    with stock.console.stream(), stock.console.stream() as second, pytest.raises(BrokenResourceError):
        second.receive()


def test_driver_error_says_what_why_and_what_to_do(direct: DirectExporter, certificate: Certificate) -> None:
    three_parts = r"(?s)no pin 'x'.*try: one of a, b, c, d, reset"
    with (
        connected(direct.address, certificate, allow=["*"]) as client,
        pytest.raises(DriverError, match=three_parts),
    ):
        client.dutlink.pins.set("x", "low")


def test_client_with_hil_has_pins_settings_and_board(
    direct: DirectExporter, certificate: Certificate, control: ManagementClient, boards: list[str]
) -> None:
    with connected(direct.address, certificate, allow=["*"]) as client:
        client.dutlink.pins.set("a", "low")
        client.dutlink.settings.write(name="lab-1")

        assert truth(control, boards[0])["pins"]["a"] == "low"
        assert client.dutlink.settings.read()["name"] == "lab-1"
        assert client.dutlink.board.describe()["serial"] == boards[0]
        client.dutlink.board.make_safe()  # pin A low would have the next test's DUT in rescue mode


def test_exporter_makes_the_board_safe_when_it_ends(
    mortal: DirectExporter, certificate: Certificate, control: ManagementClient, boards: list[str]
) -> None:
    with connected(mortal.address, certificate, allow=["*"]) as client:
        client.dutlink.power.on()
        client.dutlink.storage.host()
        before = truth(control, boards[1])

    mortal.stop()

    after = truth(control, boards[1])
    assert (before["supply"], before["mux"]) == (True, "host")
    assert (after["supply"], after["mux"]) == (False, "off")


def test_guard_makes_the_board_safe_when_the_exporter_is_killed(
    mortal: DirectExporter, certificate: Certificate, control: ManagementClient, boards: list[str]
) -> None:
    with connected(mortal.address, certificate, allow=["*"]) as client:
        client.dutlink.power.on()

    mortal.kill()

    wait_for("the board is safe", lambda: not truth(control, boards[1])["supply"])


@pytest.mark.usefixtures("direct")
def test_exporter_holds_the_hosts_lease(boards: list[str]) -> None:
    with pytest.raises(BoardBusyError, match=r"a Jumpstarter lease"):
        acquire(boards[0], wait_s=0.0)


@pytest.mark.parametrize("passphrase", [None, "guessed"])
def test_wrong_passphrase_is_refused(
    direct: DirectExporter, certificate: Certificate, passphrase: str | None
) -> None:
    with (
        pytest.raises(grpc.aio.AioRpcError, match="UNAUTHENTICATED"),
        connected(direct.address, certificate, allow=["*"], passphrase=passphrase),
    ):
        pass


def test_storage_flash_boots(
    stock: Any, tmp_path: Path, control: ManagementClient, boards: list[str]
) -> None:
    image = tmp_path / "image"
    build_image(image, "stock-1", 4 << 20)

    stock.storage.flash(str(image))

    assert truth(control, boards[0])["mux"] == "dut"
    with stock.console.pexpect() as console:
        stock.power.on()
        console.expect_exact("login: ", timeout=30)  # pexpect may open the console late: the log is cut
        console.send("root\r")
        console.expect_exact("word: ", timeout=30)
        console.send("hil\rcat /etc/image\r")
        console.expect_exact("stock-1", timeout=30)


def test_storage_dut_is_refused_after_a_failed_flash(
    stock: Any, tmp_path: Path, control: ManagementClient, boards: list[str]
) -> None:
    (tmp_path / "image.gz").write_bytes(gzip.compress(bytes(1 << 20))[:-9])

    with pytest.raises(ExceptionGroup) as told:
        stock.storage.flash(str(tmp_path / "image.gz"), compression=None)

    assert told.group_contains(DriverError, match=r"not given to the DUT")
    assert truth(control, boards[0])["mux"] != "dut"


def test_storage_dump_returns_the_flashed_bytes(stock: Any, tmp_path: Path) -> None:
    image = tmp_path / "image"
    build_image(image, "stock-2", 4 << 20)
    stock.storage.flash(str(image))

    stock.storage.dump(str(tmp_path / "dumped"))

    with (tmp_path / "dumped").open("rb") as dumped:
        assert dumped.read(4 << 20) == image.read_bytes()
