from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import pytest

from hil.sim.dut.commands import COMMANDS
from hil.sim.dut.power_draw import DRAW_AMPS, DutPhase
from tests.support.dut_bench import DutBench, MemoryStick, bootable_stick

if TYPE_CHECKING:
    from pathlib import Path

MIB = 1 << 20


@pytest.fixture
def stick(tmp_path: Path) -> MemoryStick:
    return bootable_stick(tmp_path)


@pytest.fixture
def shell(stick: MemoryStick) -> DutBench:
    bench = DutBench(stick)
    bench.log_in()
    return bench


def test_uname_names_the_system(shell: DutBench) -> None:
    assert shell.run("uname") == "Linux\r\n"


def test_uname_r_is_the_release_of_the_boot_log(shell: DutBench) -> None:
    release = shell.run("uname -r").strip()

    assert release == "6.1.0-hil"
    assert f"Linux version {release} " in shell.run("dmesg")


def test_uname_a_names_everything_in_the_order_of_uname(shell: DutBench) -> None:
    assert shell.run("uname -a") == "Linux hil-dut 6.1.0-hil #1 SMP PREEMPT aarch64 GNU/Linux\r\n"
    assert shell.run("uname -m -s") == "Linux aarch64\r\n"


def test_uname_refuses_an_unknown_option(shell: DutBench) -> None:
    assert shell.run("uname -x") == "uname: unknown option: x\r\n"
    assert shell.run("echo $?") == "2\r\n"


def test_cat_etc_image_prints_the_identity(shell: DutBench) -> None:
    assert shell.run("cat /etc/image") == f"{shell.dut.state()['image']}\r\n"


def test_cat_fails_for_another_file(shell: DutBench) -> None:
    assert "No such file" in shell.run("cat /etc/passwd")
    assert shell.run("echo $?") == "1\r\n"


def test_dmesg_repeats_the_boot_log(tmp_path: Path) -> None:
    bench = DutBench(bootable_stick(tmp_path))
    log = bench.boot()
    bench.type("root\rhil\r")
    bench.wait_for("# ")

    assert bench.run("dmesg") in log


def test_dmesg_has_the_error_of_a_removed_stick(shell: DutBench) -> None:
    shell.dut.stick(None)
    shell.wait_for("sda: I/O error\r\n")

    assert "sda: I/O error\r\n" in shell.run("dmesg")


def test_help_lists_every_command(shell: DutBench) -> None:
    said = shell.run("help")

    assert [name for name in COMMANDS if name not in said] == []


@pytest.mark.parametrize(
    ("command", "status"),
    [("true", 0), ("false", 1), ("foo", 127), ("sleep", 2), ('eval "echo \'open"', 2), ("", 0)],
)
def test_shell_prints_the_status_of_a_command(shell: DutBench, command: str, status: int) -> None:
    shell.run(command)

    assert shell.run("echo $?") == f"{status}\r\n"


def test_shell_names_an_unknown_command(shell: DutBench) -> None:
    assert shell.run("foo --bar") == "sh: foo: not found\r\n"


def test_echo_repeats_its_words_without_quotes(shell: DutBench) -> None:
    assert shell.run("echo  one   'two  three'") == "one two  three\r\n"


def test_sleep_takes_its_time(shell: DutBench) -> None:
    began_s = shell.clock.now()

    shell.run("sleep 2.5")

    assert shell.clock.now() - began_s == pytest.approx(2.5, abs=0.1)


@pytest.mark.parametrize("seconds", ["soon", "-1", "nan", "inf", "1e9"])
def test_sleep_refuses_an_endless_time(shell: DutBench, seconds: str) -> None:
    assert shell.run(f"sleep {seconds}") == "usage: sleep SECONDS\r\n"


def test_load_draws_power_while_it_runs(shell: DutBench) -> None:
    shell.run("load 3")

    assert [amps for amps, _ in shell.draws[-2:]] == [DRAW_AMPS[DutPhase.LOAD], DRAW_AMPS[DutPhase.IDLE]]


def test_load_draws_the_given_current(shell: DutBench) -> None:
    shell.type("load 3 2.25\r")
    shell.clock.advance(1.0)

    assert shell.draws[-1][0] == 2.25
    assert shell.phase == "load"


def test_load_is_ended_by_ctrl_c(shell: DutBench) -> None:
    shell.type("load 100\r")
    shell.clock.advance(1.0)

    shell.type("\x03")

    assert shell.draws[-1][0] == DRAW_AMPS[DutPhase.IDLE]


def test_load_ends_with_the_supply_without_an_idle_current(shell: DutBench) -> None:
    shell.type("load 100\r")
    shell.clock.advance(1.0)
    shell.draws.clear()

    shell.dut.supply(on=False)

    assert shell.draws == [(0.0, 0.0)]


@pytest.mark.parametrize("args", ["", "soon", "1 6", "1 -1"])
def test_load_refuses_wrong_seconds_and_amperes(shell: DutBench, args: str) -> None:
    assert shell.run(f"load {args}").startswith("usage: load")


def test_sha256sum_prints_the_digest_of_the_whole_stick(shell: DutBench, stick: MemoryStick) -> None:
    said = shell.run("sha256sum /dev/sda")

    assert said == f"{hashlib.sha256(stick.content).hexdigest()}  /dev/sda\r\n"


@pytest.mark.parametrize("length", [0, 1, MIB, 3 * MIB + 5, 8 * MIB, 9 * MIB])
def test_sha256sum_prints_the_digest_of_the_first_bytes(
    shell: DutBench, stick: MemoryStick, length: int
) -> None:
    said = shell.run(f"sha256sum /dev/sda {length}")

    assert said.split()[0] == hashlib.sha256(stick.content[:length]).hexdigest()


def test_sha256sum_reads_a_mebibyte_at_a_time(shell: DutBench, stick: MemoryStick) -> None:
    lengths: list[int] = []
    read = stick.read

    def remember(offset: int, length: int) -> bytes:
        lengths.append(length)
        return read(offset, length)

    stick.read = remember  # type: ignore[method-assign]
    shell.run("sha256sum /dev/sda")

    assert lengths == [MIB] * 8


def test_sha256sum_fails_on_a_read_error(shell: DutBench, stick: MemoryStick) -> None:
    stick.broken = True

    assert shell.run("sha256sum /dev/sda") == "sha256sum: /dev/sda: I/O error\r\n"
    assert shell.run("echo $?") == "1\r\n"


def test_sha256sum_fails_if_the_stick_is_removed(shell: DutBench) -> None:
    shell.type("sha256sum /dev/sda\r")
    shell.clock.advance(0.005)

    shell.dut.stick(None)

    assert "sha256sum: /dev/sda: I/O error\r\n" in shell.wait_for("# ")


def test_sha256sum_without_a_stick_fails(shell: DutBench) -> None:
    shell.dut.stick(None)
    shell.wait_for("I/O error\r\n")

    assert "No such file" in shell.run("sha256sum /dev/sda")


@pytest.mark.parametrize("args", ["", "/dev/sda many", "/dev/sda -1"])
def test_sha256sum_refuses_missing_and_wrong_arguments(shell: DutBench, args: str) -> None:
    assert shell.run(f"sha256sum {args}").startswith("usage: sha256sum")


def test_reboot_boots_again(shell: DutBench) -> None:
    shell.type("reboot\r")

    assert "reboot: Restarting system\r\n" in shell.wait_for("login: ")
    assert shell.dut.state()["boots"] == 2


def test_reboot_boots_the_current_image(shell: DutBench, tmp_path: Path) -> None:
    shell.dut.stick(bootable_stick(tmp_path, "demo-2"))

    shell.type("reboot\r")

    assert "image: demo-2" in shell.wait_for("login: ")


def test_poweroff_ends_in_standby(shell: DutBench) -> None:
    shell.type("poweroff\r")

    assert shell.wait_for("reboot: Power down\r\n")
    shell.clock.advance(0.1)
    assert shell.draws[-1][0] == DRAW_AMPS[DutPhase.STANDBY]


def test_shutdown_loses_typed_bytes(shell: DutBench) -> None:
    shell.type("poweroff\recho late\r")

    assert "late" not in shell.wait_for("Power down\r\n")


def test_shutdown_ends_the_login(shell: DutBench) -> None:
    shell.type("poweroff\r")

    assert shell.dut.state()["logged_in"] is False
