"""What a lab file says reaches a run, and one that is wrong names its mistake and the line."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import hil
from hil.dutlink.board import open_board
from hil.dutlink.discovery import list_boards
from hil.dutlink.reading import SETTLE_S
from hil.dutlink.waiting import hold
from hil.errors import UsageError
from hil.lab.lab_file import find_lab, read_lab
from hil.lab.place import schema
from hil.sim.backend import simulated_host
from hil.sim.process import SimulatorProcess

SET_PIN, PIN_A, LOW = 5, 1, "00"
ROOT = Path(__file__).parents[3]
GOOD = """\
# our bench
[place.jetson-1]
serial = "0df10035"
tags = ["jetson", "nvme"]
stick = "/dev/disk/by-id/usb-A"
console = "/dev/serial/by-id/usb-B"
baud_rate = 921600
safe = "aL,w10"
watch = ["EXT4-fs error"]

[place.pi]
serial = "5a1c0e01"
"""
DIES = """
import os, signal
import pytest

@pytest.mark.hardware
def test_dies_with_its_dut_on(power):
    power.force_on()
    os.kill(os.getpid(), signal.SIGKILL)
"""


def write(folder: Path, text: str) -> Path:
    file = folder / "lab.toml"
    file.write_text(text)
    return file


def test_a_place_says_what_its_board_cannot_know(tmp_path: Path) -> None:
    lab = read_lab(write(tmp_path, GOOD))

    assert lab.serial_of("jetson-1") == "0df10035"
    assert lab.tags_of("0df10035") == {"jetson", "nvme"}
    assert lab.policy_of("0df10035") == "aL,w10"
    assert lab.wiring_of("0df10035").baud_rate == 921600
    assert lab.watch_of("0df10035") == ("EXT4-fs error",)
    assert lab.watch_of("5a1c0e01") == lab.watch_of("99999999") == ()
    assert lab.wiring_of("0df10035").stick == Path("/dev/disk/by-id/usb-A")


def test_a_board_that_the_file_does_not_name_is_a_place_as_well(tmp_path: Path) -> None:
    lab = read_lab(write(tmp_path, GOOD))

    assert (lab.name_of("99999999"), lab.policy_of("99999999")) == ("", "force-off")


MISTAKES = [
    ("serial", 'serail = "0df10035"', 3, "did you mean serial"),
    ("serial", "serial = 5", 3, "string"),
    ("serial", 'serial = "0DF10035"', 3, "eight characters"),
    ("serial", 'serial = "0df1003"', 3, "eight characters"),
    ("serial", 'serial = ""', 3, "eight characters"),
    ("serial", 'serial = "5a1c0e01"', 12, "already"),
    ("serial", "", 2, "serial is missing"),
    ("tags", 'tags = "jetson"', 4, "list"),
    ("tags", 'tags = ["two words"]', 4, "one word"),
    ("tags", 'tags = [""]', 4, "one word"),
    ("tags", "tags = [1]", 4, "string"),
    ("tags", 'tgas = ["a"]', 4, "did you mean tags"),
    ("tags", 'tags = ["a"', 5, "not TOML"),
    ("stick", 'stick = "sda"', 5, "whole path"),
    ("stick", 'stick = "/dev/disk/"', 5, "whole path"),
    ("stick", 'stik = "/dev/sda"', 5, "did you mean stick"),
    ("stick", "stick = true", 5, "string"),
    ("console", 'console = "ttyUSB0"', 6, "whole path"),
    ("console", 'consol = "/dev/ttyUSB0"', 6, "did you mean console"),
    ("console", "console = []", 6, "string"),
    ("baud_rate", "baud_rate = 115201", 7, "nearest is 115200"),
    ("baud_rate", "baud_rate = 0", 7, "no such rate"),
    ("baud_rate", "baud_rate = -9600", 7, "no such rate"),
    ("baud_rate", "baud_rate = 9600.0", 7, "integer"),
    ("baud_rate", 'baud_rate = "9600"', 7, "integer"),
    ("baud_rate", "baudrate = 9600", 7, "did you mean baud_rate"),
    ("baud_rate", "baud_rate = true", 7, "integer"),
    ("watch", 'watch = "panic"', 9, "list"),
    ("watch", 'watch = ["a("]', 9, "regular expression"),
    ("watch", 'watch = ["a*"]', 9, "empty line"),
    ("watch", 'wacth = ["a"]', 9, "did you mean watch"),
    ("safe", 'safe = "leav"', 8, "did you mean leave"),
    ("safe", 'safe = "force_off"', 8, "did you mean force-off"),
    ("safe", 'safe = "aX"', 8, "power sequence"),
    ("safe", 'safe = ""', 8, "empty"),
    ("safe", "safe = false", 8, "string"),
    ("safe", 'safe = "w9999"', 8, "power sequence"),
    ("safe", 'save = "off"', 8, "did you mean safe"),
    ("safe", 'safe = "off"\nsafe = "leave"', 9, "not TOML"),
    ("safe", "safe = off", 8, "not TOML"),
    ("safe", 'safe = "off', 8, "not TOML"),
]


@pytest.mark.parametrize(("key", "line", "number", "said"), MISTAKES)
def test_a_wrong_line_is_named_with_what_is_allowed(
    tmp_path: Path, key: str, line: str, number: int, said: str
) -> None:
    lines = [
        line if old.startswith(f"{key} ") and at < 10 else old for at, old in enumerate(GOOD.splitlines())
    ]
    file = write(tmp_path, "\n".join(lines) + "\n")
    with pytest.raises(UsageError) as raised:
        read_lab(file)

    assert f"{file}:{number}: " in raised.value.what
    assert said in str(raised.value)


@pytest.mark.parametrize(
    ("text", "number", "said"),
    [
        ('serial = "0df10035"', 1, "[place.NAME]"),
        ("[places.a]", 1, "did you mean place"),
        ('[place."two words"]\nserial = "0df10035"', 1, "letters, digits"),
        ("place = 3", 1, "a table"),
        ("\n\n[place]\na = 5", 4, "a = 5"),
        ("[[place]]", 1, "a table"),
        ("[place.a", 1, "not TOML"),
        ("\n# why\n[place.a]\n\n# this\nserial = 3", 6, "string"),
    ],
)
def test_a_wrong_frame_is_named_with_its_line(tmp_path: Path, text: str, number: int, said: str) -> None:
    with pytest.raises(UsageError) as raised:
        read_lab(write(tmp_path, text))

    assert f"lab.toml:{number}: " in raised.value.what
    assert said in str(raised.value)


def test_several_mistakes_are_counted(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="1 more in line 4"):
        read_lab(write(tmp_path, '[place.a]\nserial = "0df10035"\nsafe = 1\nbaud_rate = "x"\n'))


def test_a_file_asked_for_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no\.toml cannot be read"):
        find_lab("no.toml", tmp_path, {})


def test_bytes_that_are_not_utf_8_are_an_error(tmp_path: Path) -> None:
    (tmp_path / "lab.toml").write_bytes(b"\n\xff")
    with pytest.raises(UsageError, match=r"lab\.toml:2: .*UTF-8"):
        read_lab(tmp_path / "lab.toml")


def test_the_projects_file_goes_before_the_users(tmp_path: Path) -> None:
    (tmp_path / "config/hil").mkdir(parents=True)
    write(tmp_path / "config/hil", GOOD)
    (tmp_path / "project/tests").mkdir(parents=True)
    (tmp_path / "project/pyproject.toml").touch()
    environ = {"XDG_CONFIG_HOME": str(tmp_path / "config")}
    assert find_lab(None, tmp_path / "project/tests", environ).places
    write(tmp_path / "project", "")

    assert find_lab(None, tmp_path / "project/tests", environ).file == tmp_path / "project/lab.toml"


def test_none_asks_for_no_file(tmp_path: Path) -> None:
    write(tmp_path, "wrong")

    assert find_lab("none", tmp_path, {}).file is None


def test_the_published_schema_is_the_one_that_is_checked() -> None:
    published = Path(hil.__file__).parent / "data/lab.schema.json"

    assert json.loads(published.read_text()) == schema()


@pytest.mark.parametrize(
    ("safe", "stays_on", "pin_a_was_low"),
    [("leave", True, False), ("force-off", False, False), ("aL,w1", False, True)],
)
def test_what_a_place_calls_safe_is_done_when_its_run_is_killed(
    tmp_path: Path, safe: str, stays_on: bool, pin_a_was_low: bool
) -> None:
    shutil.copy(ROOT / "conftest.py", tmp_path)
    (tmp_path / "test_dies.py").write_text(DIES)
    (tmp_path / "locks").mkdir()
    with SimulatorProcess(boards=1) as simulator:
        host = simulated_host(simulator.ready)
        (serial,) = [str(sighting.serial) for sighting in list_boards(host)]
        write(tmp_path, f'[place.ours]\nserial = "{serial}"\nsafe = "{safe}"\n')
        boards = f"sim@{simulator.ready['control_port']}"
        environ = {**os.environ, "HIL_LOCK_DIR": str(tmp_path / "locks")}
        run = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--hil-lab", "lab.toml"]
        died = subprocess.run(
            [*run, "--hil-boards", boards, "test_dies.py"],
            cwd=tmp_path,
            env=environ,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        again = [sys.executable, "-m", "hil.cli.main", "--json", "safe", serial, "--boards", boards]
        told = subprocess.run(
            again, cwd=tmp_path, env=environ, capture_output=True, text=True, check=False, timeout=60
        )
        with open_board(host, serial, console=False) as board:
            hold(SETTLE_S)
            amps = board.power.read().amps
        requests, _ = simulator.control.log(serial)

    pins_set = [(r["wValue"], r["data"]) for r in requests if r["bRequest"] == SET_PIN]
    assert ((PIN_A, LOW) in pins_set) == pin_a_was_low
    assert died.returncode == -9, died.stdout
    assert ("left alone" in told.stdout) == stays_on, told
    assert (amps > 0.02) == stays_on
