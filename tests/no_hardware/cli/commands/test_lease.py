"""`hil lease -- COMMAND`: the command has the board to itself, and the board is safe however it ends."""

from __future__ import annotations

import json
import os
import pty
import shutil
import signal
import subprocess
import sys
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from hil.dutlink.borrowed_lease import LEASED, LENT, token_hash, word_in
from hil.dutlink.timing import until
from hil.lab.locks.acquire import acquire
from hil.lab.locks.lending import is_borrowed
from hil.lab.locks.lock_file import lock_path
from hil.lab.safe_state.record import BoardState, read_record
from hil.sim.process import SimulatorProcess
from tests.support.other_user import MALLORY, as_user, folder_for_everybody, only_root
from tests.support.programs import has_ended, parent_of, program, running

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.thorough  # processes
HIL = [sys.executable, "-m", "hil.cli.main"]
SWITCH_ON = f"{sys.executable} -m hil.cli.main power force-on"
LIMIT_S = 60
ROOT = Path(__file__).parents[4]
SIMULATOR = {"boards": 1, "speed": 10}


@pytest.fixture(autouse=True)
def serial(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, simulator: SimulatorProcess) -> str:
    monkeypatch.setenv("HIL_LOCK_DIR", str(tmp_path / "locks"))
    monkeypatch.setenv("HIL_BOARDS", f"sim@{simulator.management.port}")
    monkeypatch.setenv("HIL_LAB", "none")
    monkeypatch.delenv("HIL_BOARD", raising=False)
    return simulator.serials()[0]


def leased(*command: str, options: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
    arguments = [*HIL, "lease", *options, "--", *command]
    return subprocess.run(arguments, capture_output=True, text=True, check=False, timeout=LIMIT_S)


def run_hil(*arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*HIL, *arguments],
        env=os.environ | environ,
        capture_output=True,
        text=True,
        check=False,
        timeout=LIMIT_S,
    )


@contextmanager
def started(script: str, prepare: str = "", *, own_group: bool = False) -> Iterator[subprocess.Popen[str]]:
    """A lease whose command has prepared, has switched the DUT on and said so."""
    arguments = [*HIL, "lease", "--", "sh", "-c", f"{prepare}{SWITCH_ON} && echo ready; {script}"]
    group = 0 if own_group else None
    with running(arguments, stdout=subprocess.PIPE, text=True, process_group=group) as process:
        while process.stdout.readline() != "ready\n":
            assert process.poll() is None
        yield process
        process.terminate()
        process.wait(LIMIT_S)


@pytest.mark.parametrize("status", [0, 1, 7, 130])
def test_lease_returns_the_commands_status(status: int) -> None:
    assert leased("sh", "-c", f"exit {status}").returncode == status


def test_lease_returns_128_plus_the_signal() -> None:
    assert leased("sh", "-c", "kill -9 $$").returncode == 128 + 9


@pytest.mark.parametrize(("command", "status"), [("nonesuch-program", 127), ("/", 126)])
def test_lease_reports_a_command_that_cannot_be_run(command: str, status: int) -> None:
    ran = leased(command)

    assert (ran.returncode, f"{command} cannot be run" in ran.stderr) == (status, True)


def test_lease_of_a_command_that_does_not_exist_leaves_the_board_alone(
    serial: str, simulator: SimulatorProcess
) -> None:
    _, since = simulator.management.log(serial)

    leased("nonesuch-program")

    assert simulator.management.log(serial, since)[0] == []


def test_lease_sets_the_environment_of_its_command(serial: str, simulator: SimulatorProcess) -> None:
    ran = leased(sys.executable, "-c", "import json, os; print(json.dumps(dict(os.environ)))")

    environ = json.loads(ran.stdout)
    assert environ["HIL_BOARD"] == serial
    assert environ["HIL_BOARDS"] == f"sim@{simulator.management.port}"
    assert Path(environ["HIL_TTY"]).exists()
    assert environ["HIL_STICK"] == ""


def test_lease_storage_option_connects_the_stick(serial: str, simulator: SimulatorProcess) -> None:
    ran = leased("sh", "-c", 'head -c 4 "$HIL_STICK" | wc -c', options=("--storage", "host"))

    assert (ran.returncode, ran.stdout.strip()) == (0, "4"), ran.stderr
    assert simulator.management.state(serial)["mux"] == "off"


def test_lease_passes_options_after_the_command_on(serial: str) -> None:
    arguments = [*HIL, "lease", "--board", serial, "echo", "--board", "x", "--json"]
    ran = subprocess.run(arguments, capture_output=True, text=True, check=False, timeout=LIMIT_S)

    assert ran.stdout == "--board x --json\n"


def test_lease_lets_hil_use_the_board_and_makes_it_safe_afterwards(
    serial: str, simulator: SimulatorProcess
) -> None:
    script = f"{SWITCH_ON} && {sys.executable} -m hil.cli.main --json power read"
    ran = leased("sh", "-c", script)

    assert (ran.returncode, json.loads(ran.stdout.splitlines()[-1])["board"]) == (0, serial), ran.stderr
    assert simulator.management.state(serial)["supply"] is False


def test_test_run_under_a_lease_skips_and_explains(tmp_path: Path) -> None:
    shutil.copy(ROOT / "conftest.py", tmp_path)
    (tmp_path / "test_reads.py").write_text("def test_reads(power):\n    power.read()\n")

    ran = leased(sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-rs", str(tmp_path))

    assert (ran.returncode, "run it without hil lease" in ran.stdout) == (0, True), ran.stdout


def test_test_run_beside_a_leased_board_is_refused(tmp_path: Path) -> None:
    shutil.copy(ROOT / "conftest.py", tmp_path)
    (tmp_path / "test_reads.py").write_text("def test_reads(power):\n    power.read()\n")
    with SimulatorProcess(boards=2, speed=10) as simulator:
        boards, first = f"sim@{simulator.management.port}", simulator.serials()[0]
        run = (sys.executable, "-m", "pytest", "-p", "no:cacheprovider", str(tmp_path))

        ran = run_hil("lease", "--board", first, "--", *run, HIL_BOARDS=boards)

    assert (ran.returncode, f"under a lease of board sim-1 ({first})" in ran.stdout) == (1, True), ran.stdout
    assert "1 error" in ran.stdout


def test_lease_locks_again_when_its_lock_file_was_removed(serial: str, tmp_path: Path) -> None:
    lock = lock_path(tmp_path / "locks", serial)
    with started('echo "$HIL_LEASE"; exec sleep 100') as process:
        assert process.stdout is not None
        word = process.stdout.readline().strip()
        assert is_borrowed(serial, {LEASED: word})

        shutil.rmtree(tmp_path / "locks")

        assert until(lock.exists, LIMIT_S)
        assert until(lambda: is_borrowed(serial, {LEASED: word}), LIMIT_S)
        assert read_record(tmp_path / "locks", serial).state is BoardState.IN_USE
    assert until(lambda: read_record(tmp_path / "locks", serial).state is BoardState.SAFE, LIMIT_S)


def test_lease_makes_others_wait_and_names_its_command(serial: str) -> None:
    with started("exec sleep 100") as process:
        other = run_hil("power", "off", "--wait", "0")
        borrowed = is_borrowed(serial, {LEASED: str(process.pid)})  # from elsewhere: it proves nothing

    assert (other.returncode, "hil lease: sh" in other.stderr, borrowed) == (1, True, False)


@pytest.mark.parametrize("command", [("power", "on"), ("lease", "--", "true")], ids=" ".join)
def test_command_that_outlives_its_lease_acquires_none(
    command: tuple[str, ...], serial: str, simulator: SimulatorProcess
) -> None:
    word = leased("sh", "-c", 'echo "$HIL_LEASE"').stdout.strip()

    late = run_hil(*command, HIL_LEASE=word)

    assert (late.returncode, f"env -u {LEASED}" in late.stderr) == (1, True), late.stderr
    assert simulator.management.state(serial)["supply"] is False


def test_command_under_a_lease_may_acquire_another_board() -> None:
    with SimulatorProcess(boards=2, speed=10) as simulator:
        first, second = simulator.serials()
        boards = f"sim@{simulator.management.port}"
        command = f"{' '.join(HIL)} power on --board {second}"

        ran = run_hil("lease", "--board", first, "--", "sh", "-c", command, HIL_BOARDS=boards)

        assert (ran.returncode, simulator.management.state(second)["supply"]) == (0, True), ran.stderr


def test_command_without_a_board_uses_the_one_of_its_lease() -> None:
    with SimulatorProcess(boards=2, speed=10) as simulator:
        first, second = simulator.serials()
        boards = f"sim@{simulator.management.port}"

        for serial in (first, second):
            command = f"env -u HIL_BOARD {' '.join(HIL)} --json power read"
            ran = run_hil("lease", "--board", serial, "--", "sh", "-c", command, HIL_BOARDS=boards)
            assert (ran.returncode, serial in ran.stdout) == (0, True), ran.stderr


@only_root
def test_lease_cannot_be_forged_from_its_lock_file(serial: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def forged(word: str) -> bool:
        return as_user(MALLORY, partial(is_borrowed, serial, {LEASED: word}))

    with folder_for_everybody() as folder:
        monkeypatch.setenv("HIL_LOCK_DIR", str(folder))
        with started('echo "$HIL_LEASE"; exec sleep 100') as process:
            content = as_user(MALLORY, lock_path(folder, serial).read_bytes)
            lent, pid = word_in(content, LENT), json.loads(content)["pid"]
            lends = [
                forged(word) for word in (lent, token_hash(lent, serial), str(pid), str(process.pid), "1")
            ]
            own = forged(process.stdout.readline().strip())

    assert len(lent) == 64
    assert lends == [False] * 5
    assert not own  # nor by the word itself: the holder is another user, and did not start this process


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGINT])
def test_lease_passes_a_signal_on_and_makes_the_board_safe(
    serial: str, simulator: SimulatorProcess, number: signal.Signals
) -> None:
    with started("exec sleep 100") as process:
        assert simulator.management.state(serial)["supply"] is True
        process.send_signal(number)

        assert process.wait(LIMIT_S) == 128 + number
    assert simulator.management.state(serial)["supply"] is False


def test_lease_waits_for_a_command_that_ends_slowly(serial: str, simulator: SimulatorProcess) -> None:
    with started("while :; do sleep 0.1; done", 'trap "echo ending; exit 3" TERM; ') as process:
        process.terminate()
        said, _ = process.communicate(timeout=LIMIT_S)

    assert (process.returncode, said) == (3, "ending\n")
    assert simulator.management.state(serial)["supply"] is False


def test_killed_lease_ends_its_command_and_its_guard_makes_the_board_safe(
    serial: str, simulator: SimulatorProcess, tmp_path: Path
) -> None:
    mark = tmp_path / "pid"
    with started(f"echo $$ > {mark}; exec sleep 100") as process:
        assert until(lambda: mark.exists() and mark.read_text().strip(), LIMIT_S)
        process.kill()
        process.wait(LIMIT_S)

    with acquire(serial, wait_s=LIMIT_S):
        assert simulator.management.state(serial)["supply"] is False
    assert until(lambda: not Path(f"/proc/{int(mark.read_text())}").exists(), LIMIT_S)


DRIVES_ON = program(__file__, "lease_drives_on")


@contextmanager
def driven(how: str) -> Iterator[tuple[subprocess.Popen[str], int, int]]:
    """A lease whose command gave the stick away and outlives SIGTERM; pids of it and of what ends it."""
    arguments = [*HIL, "lease", "--", sys.executable, "-c", DRIVES_ON, how]
    with running(arguments, stdout=subprocess.PIPE, text=True) as process:
        command = int(process.stdout.readline())
        above = parent_of(command)
        yield process, command, above


def guards_of(pid: int) -> list[int]:
    title = f"hil-guard of pid {pid}\0".encode()
    found = []
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            if entry.read_bytes().startswith(title):
                found.append(int(entry.parent.name))
    return found


def test_boards_names_the_lease_that_was_killed_with_its_guard(serial: str, tmp_path: Path) -> None:
    with started("exec sleep 100") as first:
        first.kill()
    assert until(lambda: bool(read_record(tmp_path / "locks", serial).events), LIMIT_S)  # of its guard
    with started("exec sleep 100") as second:
        (guard,) = guards_of(second.pid)
        second.send_signal(signal.SIGSTOP)  # it would start another guard
        for pid in (guard, second.pid):
            os.kill(pid, signal.SIGKILL)
        (row,) = until(unsafe_boards, LIMIT_S) or pytest.fail("no board is unsafe")

    assert f"(pid {second.pid}, " in row["why"]
    assert f"(pid {first.pid}, " not in row["why"]
    assert row["why"].endswith(f"and its guard ended without giving it back; hil safe {serial}")


def unsafe_boards() -> list[dict[str, Any]] | None:
    rows = json.loads(run_hil("--json", "boards").stdout)
    return [row for row in rows if row["safe"] is False] or None


@pytest.mark.parametrize("how", ["ignore", "undo"])
def test_board_of_a_killed_lease_is_safe_and_free_when_its_command_has_ended(
    serial: str, simulator: SimulatorProcess, how: str
) -> None:
    with driven(how) as (process, command, _above):
        process.kill()
        with acquire(serial, wait_s=LIMIT_S) as lease:
            over, record = has_ended(command), read_record(lease.lock.path.parent, serial)
            truth = simulator.management.state(serial)

    assert (over, record.state) == (True, BoardState.SAFE)
    assert (truth["supply"], truth["mux"], set(truth["pins_set"].values())) == (False, "off", {"floating"})


def test_stopped_guard_of_a_killed_lease_is_woken_and_makes_the_board_safe(
    serial: str, simulator: SimulatorProcess
) -> None:
    with started("exec sleep 100") as process:
        (guard,) = guards_of(process.pid)
        os.kill(guard, signal.SIGSTOP)
        process.kill()
        try:
            assert until(lambda: simulator.management.state(serial)["supply"] is False, LIMIT_S)
        finally:
            with suppress(OSError):
                os.kill(guard, signal.SIGCONT)


def test_command_of_a_killed_lease_ends_though_the_process_that_ends_it_was_stopped(
    serial: str, simulator: SimulatorProcess
) -> None:
    with driven("ignore") as (process, command, above):
        process.kill()
        process.wait()
        os.kill(above, signal.SIGSTOP)  # now: Linux continues a stopped process whose leader ends
        try:
            with acquire(serial, wait_s=LIMIT_S) as lease:
                over, record = has_ended(command), read_record(lease.lock.path.parent, serial)
        finally:
            with suppress(OSError):
                os.kill(above, signal.SIGCONT)

    assert (over, record.state) == (True, BoardState.SAFE)
    assert simulator.management.state(serial)["supply"] is False


def test_lease_ends_after_its_command_though_the_process_that_ends_it_was_stopped(
    serial: str, simulator: SimulatorProcess
) -> None:
    with driven("ignore") as (process, command, above):
        os.kill(above, signal.SIGSTOP)
        os.kill(command, signal.SIGKILL)

        assert process.wait(LIMIT_S) == 128 + signal.SIGKILL
    assert simulator.management.state(serial)["supply"] is False


@pytest.mark.parametrize("number", [signal.SIGSTOP, signal.SIGKILL])
def test_next_holder_ends_the_stopped_process_that_ends_a_command_and_keeps_its_board_locked(
    serial: str, number: signal.Signals
) -> None:
    with driven("ignore") as (process, command, above):
        (guard,) = guards_of(process.pid)
        process.kill()
        process.wait()
        os.kill(above, signal.SIGSTOP)
        os.kill(guard, number)
        try:
            with acquire(serial, wait_s=LIMIT_S) as lease:
                assert above in lease.killed_guards
                assert until(lambda: has_ended(command), LIMIT_S)
        finally:
            for pid in (above, guard):
                with suppress(OSError):
                    os.kill(pid, signal.SIGCONT)


LOSES_ITS_GUARD = """
import sys
from hil.boards.acquired import AcquiredBoard
from hil.cli.main import run
from hil.errors import GuardError
release = AcquiredBoard.release_safe
def lose_the_guard(board, **options):
    board.lease.handle_guard_loss(GuardError("no guard"))
    release(board, **options)
AcquiredBoard.release_safe = lose_the_guard; sys.exit(run(["lease", "--", "true"]))"""


def test_lease_that_loses_its_guard_after_its_command_makes_the_board_safe(
    serial: str, tmp_path: Path
) -> None:
    ran = subprocess.run([sys.executable, "-c", LOSES_ITS_GUARD], check=False, capture_output=True, text=True)

    assert (ran.returncode, "no guard" in ran.stderr) == (1, True), ran.stderr
    assert read_record(tmp_path / "locks", serial).state is BoardState.SAFE


def pipes_of(pid: int) -> set[str]:
    """The pipes that a process has open."""
    links = [entry.readlink().name for entry in Path(f"/proc/{pid}/fd").iterdir()]
    return {link for link in links if link.startswith("pipe:")}


def test_guard_of_a_lease_watches_the_process_that_ends_the_command() -> None:
    with driven("ignore") as (process, command, above):
        (guard,) = guards_of(process.pid)

        assert pipes_of(guard) & pipes_of(above) - pipes_of(command)


def test_board_of_a_lease_is_not_free_while_its_command_lives_though_lease_and_guard_were_killed(
    serial: str,
) -> None:
    with driven("ignore") as (process, command, _above):
        for pid in (process.pid, *guards_of(process.pid)):
            os.kill(pid, signal.SIGKILL)
        with acquire(serial, wait_s=LIMIT_S):
            over = has_ended(command)

    assert over


def test_command_ends_though_the_process_that_ends_it_was_killed(
    serial: str, simulator: SimulatorProcess
) -> None:
    with driven("ignore") as (process, command, above):
        os.kill(above, signal.SIGKILL)

        assert process.wait(LIMIT_S) == 128 + signal.SIGKILL
        assert until(lambda: has_ended(command), LIMIT_S)
    assert simulator.management.state(serial)["supply"] is False


CHILDREN = "sleep 100 & setsid sleep 101 & (setsid sh -c 'sleep 102 & sleep 103' &) ; "


def sleeping(*seconds: int) -> list[int]:
    """The processes of this test that sleep for so long: its lock folder is in their environment."""
    ours = f"HIL_LOCK_DIR={os.environ['HIL_LOCK_DIR']}".encode()
    wanted = {b"%d" % number for number in seconds}  # other processes sleep for "0.1" and for "infinity"
    found = []
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            words = entry.read_bytes().split(b"\0")
            environ = entry.with_name("environ").read_bytes().split(b"\0")
            if words[0] == b"sleep" and words[1] in wanted and ours in environ:
                found.append(int(entry.parent.name))
    return found


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
@pytest.mark.parametrize("whom", ["process", "group"])
def test_lease_that_is_ended_ends_its_command_and_all_its_children(
    serial: str, simulator: SimulatorProcess, number: signal.Signals, whom: str
) -> None:
    seconds = (31100, 31101, 31102, 31103, 31104)
    children = CHILDREN.replace(" 10", " 3110")
    with started("sleep 31104; true", children, own_group=True) as process:
        assert until(lambda: len(sleeping(*seconds)) == len(seconds), LIMIT_S)
        (os.kill if whom == "process" else os.killpg)(process.pid, number)
        process.wait(LIMIT_S)

        assert until(lambda: not sleeping(*seconds), 60)
    with acquire(serial, wait_s=LIMIT_S):
        assert simulator.management.state(serial)["supply"] is False


@pytest.mark.parametrize(
    ("script", "in_front", "typed", "status"),
    [("sleep 100", "sleep", b"\x03", 128 + 2), ("read x; exit ${#x}", "bash", b"hello\n", 5)],
)
def test_lease_leaves_the_terminal_to_its_command(
    script: str, in_front: str, typed: bytes, status: int
) -> None:
    pid, terminal = pty.fork()
    if not pid:
        os.execv(sys.executable, [*HIL, "lease", "--", "bash", "--norc", "-ic", script])  # noqa: S606

    def has_the_terminal() -> bool:
        with suppress(OSError):
            return Path(f"/proc/{os.tcgetpgrp(terminal)}/comm").read_text() == f"{in_front}\n"
        return False

    assert until(has_the_terminal, LIMIT_S)
    os.write(terminal, typed)
    with suppress(OSError):  # EIO: its end
        while os.read(terminal, 4096):
            pass

    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == status
    os.close(terminal)


def test_lease_leaves_no_process() -> None:
    ran = leased("sh", "-c", "setsid sleep 31105 >/dev/null 2>&1 & exit 3")

    assert (ran.returncode, sleeping(31105)) == (3, [])


@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("unshare"), reason="a PID namespace needs root")
def test_lease_is_lent_within_its_pid_namespace_and_to_no_process_of_another(serial: str) -> None:
    apart = ["unshare", "--pid", "--fork", "--mount-proc", "--kill-child"]
    read = f"{sys.executable} -m hil.cli.main power read --board {serial} --wait 0"
    script = f'{read} >&2 && echo "$HIL_LEASE" && exec sleep 100'
    command = [*apart, *HIL, "lease", "--board", serial, "--", "sh", "-c", script]
    with running(command, stdout=subprocess.PIPE, text=True) as process:
        word = process.stdout.readline().strip()
        inside = subprocess.run(
            [*apart, *read.split()], env=os.environ | {LEASED: word}, check=False, timeout=60
        )
        others = [
            subprocess.run([*apart, *read.split()], env=os.environ | {LEASED: said}, check=False, timeout=60)
            for said in ("1", "2", word[:-1], "")
        ]

    assert len(word) > 16
    assert (inside.returncode, [other.returncode for other in others]) == (0, [1, 1, 1, 1])


def test_lease_lends_no_longer_than_it_lasts(serial: str) -> None:
    word = leased("sh", "-c", 'echo "$HIL_LEASE"').stdout.strip()

    assert word
    assert not is_borrowed(serial, {LEASED: word})


def test_token_left_in_the_lock_file_of_a_free_board_is_not_valid(serial: str) -> None:
    lease = acquire(serial)
    word = lease.lend(ends_borrowers=True)
    assert is_borrowed(serial, {LEASED: word})
    lease.lock.close()  # as when holder and guard are killed: the content stays

    assert not is_borrowed(serial, {LEASED: word})
    acquire(serial).release()


def test_lease_fails_if_the_board_cannot_be_made_safe_afterwards(
    serial: str, simulator: SimulatorProcess
) -> None:
    sim = f"{sys.executable} -m hil.cli.main sim fault --control {simulator.management.port} {serial}"
    ran = leased("sh", "-c", f"{sim} unplug")
    simulator.management.fault(serial, "replug")

    assert (ran.returncode, serial in ran.stderr) == (1, True)


def test_lease_without_a_command_is_misuse() -> None:
    arguments = [*HIL, "lease"]
    ran = subprocess.run(arguments, capture_output=True, text=True, check=False, timeout=LIMIT_S)

    assert (ran.returncode, "hil lease -- COMMAND" in ran.stderr) == (2, True)
