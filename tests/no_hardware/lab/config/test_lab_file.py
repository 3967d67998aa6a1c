"""Lab files: runs use their values, and the error for a wrong file names the line."""

import json
import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

import hil
from hil.boards.sources import simulated_host
from hil.dutlink.board import open_driver
from hil.dutlink.discovery import list_boards
from hil.dutlink.power.reading import SETTLE_S
from hil.dutlink.timing import sleep
from hil.errors import UsageError
from hil.lab.config.lab_file import find_lab, parse_lab, read_lab
from hil.lab.config.place import Place, schema
from hil.sim.dut.image import build_image
from hil.sim.process import SimulatorProcess
from tests.support.broken_lab_files import BROKEN, GOOD, WRONG_KEYS, WRONG_TYPES, Broken
from tests.support.programs import program

SET_PIN, PIN_A, LOW = 5, 1, "00"
ROOT = Path(__file__).parents[4]
DIES = """
import os, signal
import pytest

@pytest.mark.hardware
def test_dies_with_its_dut_on(power):
    power.force_on()
    os.kill(os.getpid(), signal.SIGKILL)
"""
LOGS_IN = program(__file__, "lab_file_logs_in")


def write(folder: Path, text: str) -> Path:
    file = folder / "lab.toml"
    file.write_text(text)
    return file


def test_lab_gives_the_wiring_of_a_place(tmp_path: Path) -> None:
    lab = read_lab(write(tmp_path, GOOD))

    assert lab.serial_of("jetson-1") == "0df10035"
    assert lab.tags_of("0df10035") == {"jetson", "nvme"}
    assert lab.policy_of("0df10035") == "aL,w10"
    assert lab.wiring_of("0df10035").baud_rate == 921600
    assert lab.watch_of("0df10035") == ("EXT4-fs error",)
    assert lab.watch_of("5a1c0e01") == lab.watch_of("99999999") == ()
    assert lab.wiring_of("0df10035").stick == Path("/dev/disk/by-id/usb-A")


def test_lab_takes_an_unnamed_board_for_a_place(tmp_path: Path) -> None:
    lab = read_lab(write(tmp_path, GOOD))

    assert (lab.name_of("99999999"), lab.policy_of("99999999")) == ("", "force-off")


def test_parse_lab_accepts_the_good_file(tmp_path: Path) -> None:
    lab = read_lab(write(tmp_path, GOOD))

    assert list(lab.places) == ["jetson-1", "pi"]


@pytest.mark.parametrize("broken", BROKEN, ids=range(len(BROKEN)))
def test_parse_lab_names_file_line_and_remedy_of_each_mistake(tmp_path: Path, broken: Broken) -> None:
    file = write(tmp_path, broken.text)
    with pytest.raises(UsageError) as raised:
        read_lab(file)

    assert raised.value.what.startswith(f"{file}:{broken.line}: "), broken.text
    assert [word for word in broken.said if word not in str(raised.value)] == [], str(raised.value)
    assert raised.value.why
    assert raised.value.remedy


def test_lab_file_page_has_a_valid_example_and_names_every_key() -> None:
    page = (ROOT / "docs/lab-file.md").read_text(encoding="utf-8")
    example = page.partition("```toml\n")[2].partition("```")[0]

    assert parse_lab(Path("lab.toml"), example).serial_of("jetson-1") == "0df10035"
    assert [key for key in Place._fields if key not in page] == []


def test_lab_file_page_shows_the_error_of_a_wrong_value() -> None:
    page = (ROOT / "docs/lab-file.md").read_text(encoding="utf-8")
    place = '[place.jetson-1]\nserial = "0df10035"\n'

    with pytest.raises(UsageError) as caught:
        parse_lab(Path("lab.toml"), place + "\n" * 5 + 'safe = "leav"\n')

    assert f"```\n{caught.value}\n```" in page


def test_broken_lab_files_are_two_hundred() -> None:
    assert len({broken.text for broken in BROKEN}) >= 200


def test_schema_accepts_what_the_model_accepts() -> None:
    validator = Draft202012Validator(schema())

    assert list(validator.iter_errors(tomllib.loads(GOOD))) == []


@pytest.mark.parametrize("broken", [*WRONG_TYPES, *WRONG_KEYS], ids=range(len(WRONG_TYPES) + len(WRONG_KEYS)))
def test_schema_refuses_wrong_types_and_keys(broken: Broken) -> None:
    validator = Draft202012Validator(schema())

    assert list(validator.iter_errors(tomllib.loads(broken.text)))


def test_parse_lab_counts_several_mistakes(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="1 more in line 4"):
        read_lab(write(tmp_path, '[place.a]\nserial = "0df10035"\nsafe = 1\nbaud_rate = "x"\n'))


def test_find_lab_raises_if_the_named_file_does_not_exist(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no\.toml cannot be read"):
        find_lab("no.toml", tmp_path, {})


def test_read_lab_raises_for_bytes_that_are_not_utf_8(tmp_path: Path) -> None:
    (tmp_path / "lab.toml").write_bytes(b"\n\xff")
    with pytest.raises(UsageError, match=r"lab\.toml:2: .*UTF-8"):
        read_lab(tmp_path / "lab.toml")


def test_find_lab_prefers_the_projects_file(tmp_path: Path) -> None:
    (tmp_path / "config/hil").mkdir(parents=True)
    write(tmp_path / "config/hil", GOOD)
    (tmp_path / "project/tests").mkdir(parents=True)
    (tmp_path / "project/pyproject.toml").touch()
    environ = {"XDG_CONFIG_HOME": str(tmp_path / "config")}
    assert find_lab(None, tmp_path / "project/tests", environ).places
    write(tmp_path / "project", "")

    assert find_lab(None, tmp_path / "project/tests", environ).file == tmp_path / "project/lab.toml"


def test_find_lab_ignores_a_file_in_a_world_writable_folder(tmp_path: Path) -> None:
    below = tmp_path / "below"
    below.mkdir()
    write(tmp_path, GOOD)
    assert find_lab(None, below, {}).places
    tmp_path.chmod(0o1777)

    assert find_lab(None, below, {}).file is None


def test_find_lab_reads_no_file_for_none(tmp_path: Path) -> None:
    write(tmp_path, "wrong")

    assert find_lab("none", tmp_path, {}).file is None


def test_schema_is_the_published_one() -> None:
    published = Path(hil.__file__).parent / "data/lab.schema.json"

    assert json.loads(published.read_text()) == schema()


@pytest.mark.thorough
def test_run_uses_the_lab_files_values_of_the_dut(tmp_path: Path) -> None:
    shutil.copy(ROOT / "conftest.py", tmp_path)
    (tmp_path / "test_logs_in.py").write_text(LOGS_IN)
    (tmp_path / "locks").mkdir()
    build_image(tmp_path / "image", "lab")
    with SimulatorProcess(boards=1, speed=5) as simulator:
        (serial,) = simulator.serials()
        write(
            tmp_path,
            f'[place.ours]\nserial = "{serial}"\nlogin = {{ user = "root", password = "hil" }}\n'
            'up = "image: lab"\npower_on = "p1,w1"\n',
        )
        run = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "test_logs_in.py", "--hil-boards"]
        ran = subprocess.run(
            [*run, f"sim@{simulator.ready['control_port']}"],
            cwd=tmp_path,
            env={**os.environ, "HIL_LOCK_DIR": str(tmp_path / "locks")},
            capture_output=True,
            text=True,
            check=False,
            timeout=100,
        )

    assert ran.returncode == 0, ran.stdout
    assert f"hil settings apply --board {serial}" in ran.stdout + ran.stderr


@pytest.mark.parametrize(
    ("safe", "stays_on", "pin_a_was_low"),
    [
        pytest.param("leave", True, False, marks=pytest.mark.thorough),
        pytest.param("force-off", False, False, marks=pytest.mark.thorough),
        pytest.param("aL,w1", False, True, marks=pytest.mark.thorough),
    ],
)
def test_guard_carries_out_the_policy_of_the_lab_file(
    tmp_path: Path, safe: str, stays_on: bool, pin_a_was_low: bool
) -> None:
    shutil.copy(ROOT / "conftest.py", tmp_path)
    (tmp_path / "test_dies.py").write_text(DIES)
    (tmp_path / "locks").mkdir()
    with SimulatorProcess(boards=1) as simulator:
        host = simulated_host(simulator.ready)
        (serial,) = [str(result.serial) for result in list_boards(host)]
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
        with open_driver(host, serial, console=False) as board:
            sleep(SETTLE_S)
            amps = board.power.read().amps
        requests, _ = simulator.management.log(serial)

    pins_set = [(r["wValue"], r["data"]) for r in requests if r["bRequest"] == SET_PIN]
    assert ((PIN_A, LOW) in pins_set) == pin_a_was_low
    assert died.returncode == -9, died.stdout
    assert ("left alone" in told.stdout) == stays_on, told
    assert (amps > 0.02) == stays_on


@pytest.mark.parametrize(
    "line",
    [
        'login = "root:hush-83461"',
        'login = ["root", "hush-83461"]',
        "login = 'root hush-83461'",
        "login = root:hush-83461",
        "login: root hush-83461",
        'login = {"root", "hush-83461"}',
        'login = { user = "root", pass = hush-83461 }',
        'login = { user = "root" password = "hush-83461" }',
        'login = { user = "root", password = hush-83461 }',
        'login = { user = "root", password = ["hush-83461"] }',
        'login = { user = "root", password = "hush-83461\\u0007" }',
        'login.password = "hush-83461',
        'password = "hush-83461"',
    ],
)
def test_lab_file_error_repeats_no_password(tmp_path: Path, line: str) -> None:
    file = tmp_path / "lab.toml"
    file.write_text(f'[place.rack]\nserial = "0df10035"\n{line}\n', encoding="utf-8")

    with pytest.raises(UsageError) as raised:
        read_lab(file)

    assert "lab.toml:3: " in str(raised.value)
    assert "hush" not in str(raised.value)
