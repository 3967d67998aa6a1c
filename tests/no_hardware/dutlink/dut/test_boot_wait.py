"""Waiting until a DUT is up leaves its output to other readers of the console."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

from hil.dutlink.board import Board, open_driver
from hil.dutlink.dut.account import Login
from hil.dutlink.dut.login import credentials
from hil.dutlink.wiring import Wiring
from hil.errors import BoardFaultError, BootLoaderError, ExpectError, UsageError
from hil.sim.backend.backend import simulated_host
from hil.sim.dut.image import build_image
from hil.sim.process import SimulatorProcess

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

WIRING = Wiring(login=Login("root", "hil"))


@pytest.fixture(scope="module")
def bootable(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Board]:
    image = tmp_path_factory.mktemp("image") / "image"
    build_image(image, "up")
    with (
        SimulatorProcess(1, speed=10.0) as simulator,
        open_driver(simulated_host(simulator.ready), wiring=WIRING) as board,
    ):
        board.make_safe()
        board.storage.host()
        shutil.copyfile(image, board.storage.wait_for_node(20))
        yield board
        board.make_safe()


@pytest.fixture
def board(bootable: Board) -> Board:
    bootable.make_safe()
    bootable.storage.dut()
    bootable._wiring = WIRING
    bootable.console.set_login(WIRING.login)
    return bootable


def test_wait_until_up_waits_for_a_login_prompt_by_default(board: Board) -> None:
    board.power.on()

    assert board.wait_until_up().text().startswith("login: ")


def test_wait_until_up_waits_for_the_pattern_of_the_place(board: Board) -> None:
    board._wiring = WIRING._replace(up=r"image: (\w+) [0-9a-f]{16}")
    board.power.on()

    assert board.wait_until_up().text(1) == "up"


def test_wait_until_up_leaves_the_match_to_expect(board: Board) -> None:
    board.power.on()
    board.wait_until_up()

    board.console.login()

    assert board.console.run("true").status == 0


def test_wait_until_up_ignores_the_prompt_of_the_boot_before(board: Board) -> None:
    board.power.on()
    board.wait_until_up()
    board.power.cycle(0.1)

    with pytest.raises(ExpectError, match="no login prompt came"):
        board.wait_until_up(timeout_s=0)


def test_wait_until_up_refuses_a_dut_whose_supply_was_cut(board: Board) -> None:
    with pytest.raises(BoardFaultError, match="cannot come up"):
        board.wait_until_up()


def test_wait_until_up_raises_the_error_of_login_at_the_boot_loader_s_prompt(board: Board) -> None:
    board.storage.off()
    board.power.on()
    with pytest.raises(BootLoaderError) as of_wait:
        board.wait_until_up(timeout_s=600)

    with pytest.raises(BootLoaderError) as of_login:
        board.console.login(timeout_s=600)

    assert str(of_wait.value) == str(of_login.value)
    assert "the stick is not at the DUT (position off)" in of_login.value.remedy


def test_expect_timeout_names_the_boot_loader_that_waits(board: Board) -> None:
    board.storage.off()
    board.power.on()
    board.console.expect("Press Enter", timeout_s=600)

    with pytest.raises(
        ExpectError, match="the DUT waits at the prompt of a boot loader; last line"
    ) as raised:
        board.console.expect("login: ", timeout_s=3)

    assert "the stick is not at the DUT (position off)" in raised.value.remedy


def test_wait_until_up_takes_a_prompt_before_a_reset_for_none(board: Board) -> None:
    board.storage.off()
    board.power.on()
    board.console.expect("boot> ")
    board.pins.low("reset")

    try:
        with pytest.raises(ExpectError) as raised:
            board.wait_until_up(timeout_s=3)
    finally:
        board.pins.floating("reset")

    assert not isinstance(raised.value, BootLoaderError)


@pytest.mark.parametrize(
    "wait",
    [
        lambda board: board.console.expect("never said", timeout_s=0.2),
        lambda board: board.console.login(timeout_s=0.2),
        lambda board: board.console.run("true", timeout_s=0.2),
        Board.wait_until_up,
    ],
    ids=["expect", "login", "run", "wait_until_up"],
)
def test_wait_until_up_error_says_that_the_dut_is_off(board: Board, wait: Callable[[Board], object]) -> None:
    board.power.on()
    board.wait_until_up()
    board.power.off()

    with pytest.raises((ExpectError, BoardFaultError), match="switched off") as caught:
        wait(board)

    assert caught.value.remedy == "power.on()"
    assert "switched off" in caught.value.why
    assert "boot loader" not in caught.value.why


def test_is_off_is_false_after_a_sequence_that_leaves_the_supply_on(board: Board) -> None:
    board.settings.write(power_off="al,w1,az")
    try:
        board.power.off()
    finally:
        board.settings.write(power_off="")

    assert not board.power.is_off


def test_is_off_is_false_after_the_board_s_shell_switched_the_dut_on(board: Board) -> None:
    board.console.shell("power on")

    assert not board.power.is_off


def test_login_without_a_user_names_the_lab_file(board: Board) -> None:
    board.console.set_login(None)
    with pytest.raises(UsageError, match=r"lab\.toml"):
        board.console.login()


@pytest.mark.parametrize(
    ("user", "password", "used"),
    [
        ("guest", None, ("guest", "")),
        ("root", None, ("root", "hil")),
        ("root", "other", ("root", "other")),
        (None, None, ("root", "hil")),
    ],
)
def test_login_of_another_user_does_not_send_the_place_s_password(
    user: str | None, password: str | None, used: tuple[str, str]
) -> None:
    name, secret = credentials(Login("root", "hil"), "5a1c0e01", user, password)

    assert (name, secret.reveal()) == used


@pytest.mark.parametrize(
    "wait",
    [
        lambda board: board.console.expect("login: ", timeout_s=0.2),
        lambda board: board.wait_until_up(timeout_s=0.2),
        lambda board: board.console.login(timeout_s=0.2),
    ],
    ids=["expect", "wait_until_up", "login"],
)
def test_boot_error_says_that_the_sequence_has_lost_the_first_output(
    board: Board, wait: Callable[[Board], object]
) -> None:
    board.power.on()
    board.wait_until_up()
    board.settings.write(power_on="p1,w300")  # at tenfold speed the DUT is up before these 30 s are over
    try:
        board.console.discard()
        board.power.cycle(0.1)
        with pytest.raises(ExpectError, match=r"in its first 30\.0 s is lost") as caught:
            wait(board)
    finally:
        board.settings.write(power_on="")

    assert "power_on sequence 'p1,w300' waits after it has switched the supply on" in caught.value.why
    assert caught.value.remedy.startswith("console.sendline() for another prompt; or put the waits before p1")


def test_boot_error_is_silent_about_waits_before_the_supply_goes_on(board: Board) -> None:
    board.settings.write(power_on="w1,p1")
    try:
        board.power.on()
        with pytest.raises(ExpectError) as caught:
            board.console.expect("never said", timeout_s=0.1)
    finally:
        board.settings.write(power_on="")

    assert "lost" not in caught.value.why
