"""Runs with --hil-image: what is on a board, how often it was written, what a failed flash becomes."""

from __future__ import annotations

import hashlib
import os
from typing import TYPE_CHECKING

import pytest

from hil.evidence.run_folder import EvidenceFolder
from tests.support.image_server import ImageServer
from tests.support.programs import program

if TYPE_CHECKING:
    from pathlib import Path

    from hil.sim.process import SimulatorProcess
    from tests.support.suite_run import RunSuite

pytest_plugins = ["pytester"]
pytestmark = pytest.mark.thorough  # runs of the suite
BOARD = "--hil-boards=sim:1,speed=10"
SHOWS_IMAGE = """
def test_first(power, image):
    power.on()
    assert (image.name, image.version) == ("dut-v2.1.img", "v2.1")

def test_second(power, storage, image):
    power.read()
    assert storage.flashed.digest == image.digest
    assert storage.position == "dut"
"""


def disk_image(path: Path, size_bytes: int = 1 << 19) -> Path:
    path.write_bytes(os.urandom(510) + b"\x55\xaa" + os.urandom(size_bytes - 512))
    return path


@pytest.fixture
def image(pytester: pytest.Pytester) -> Path:
    return disk_image(pytester.path / "dut-v2.1.img")


@pytest.mark.usefixtures("image")
def test_image_is_flashed_once_for_the_tests_of_a_board(run_suite: RunSuite) -> None:
    inner = run_suite(SHOWS_IMAGE, BOARD, "--hil-image=dut-v2.1.img")

    assert inner.results() == {"test_first": "passed", "test_second": "passed"}
    assert inner.text.count("flashed and verified: sim-1") == 1


@pytest.mark.usefixtures("image")
def test_image_of_each_test_is_in_junit_and_in_the_evidence(
    run_suite: RunSuite, pytester: pytest.Pytester
) -> None:
    inner = run_suite(SHOWS_IMAGE, BOARD, "--hil-image=dut-v2.1.img", "--hil-report=kept")

    folder = EvidenceFolder(pytester.path / "kept")
    run = folder.run()
    assert run is not None
    kept = [one.image for one in folder.tests(run.key)]
    assert kept == [outcome.properties["hil_image"] for outcome in inner.outcomes.values()]
    images = [outcome.properties["hil_image"] for outcome in inner.outcomes.values()]
    assert [one.split()[0] for one in images] == ["dut-v2.1.img"] * 2


@pytest.mark.usefixtures("image")
def test_image_that_the_stick_holds_is_not_written(run_suite: RunSuite) -> None:
    turned = """
def test_turned(storage): storage.off()
def test_next(storage): assert storage.position == "dut"
"""
    inner = run_suite(turned, BOARD, "--hil-image=dut-v2.1.img")

    assert inner.results() == {"test_turned": "passed", "test_next": "passed"}
    assert (inner.text.count("flashed and verified"), inner.text.count("was on the stick already:")) == (1, 0)
    assert "later 1 proven again" in inner.text


def test_image_of_the_marker_wins(run_suite: RunSuite, image: Path) -> None:
    disk_image(image.with_name("rescue.img"))
    source = """
import pytest

@pytest.mark.hardware(image="rescue.img")
def test_rescue(power, image):
    power.read()
    assert image.name == "rescue.img"

def test_usual(power, image):
    power.read()
    assert image.name == "dut-v2.1.img"
"""
    inner = run_suite(source, BOARD, "--hil-image=dut-v2.1.img")

    assert inner.results() == {"test_rescue": "passed", "test_usual": "passed"}


def test_image_of_the_marker_that_is_missing_is_an_error_of_its_test(run_suite: RunSuite) -> None:
    source = """
import pytest

@pytest.mark.hardware(image="rescuu.img")
def test_rescue(power): power.read()

def test_usual(power): power.read()
"""
    inner = run_suite(source, BOARD)

    assert inner.results() == {"test_rescue": "error", "test_usual": "passed"}
    assert "there is no image" in inner.outcomes["test_rescue"].message


def test_fixtures_of_a_board_end_before_another_image(run_suite: RunSuite, image: Path) -> None:
    disk_image(image.with_name("rescue.img"))
    source = program(__file__, "image_runs_fixtures")
    inner = run_suite(source, BOARD, "--hil-image=dut-v2.1.img")

    assert inner.results() == {"test_usual": "passed", "test_rescue": "passed"}


def test_image_that_cannot_be_flashed_is_told_once_and_skips_nothing(
    run_suite: RunSuite, pytester: pytest.Pytester, image: Path
) -> None:
    too_large = pytester.path / "huge-v3.0.img"
    too_large.touch()
    os.truncate(too_large, 1 << 40)
    source = """
import pytest

@pytest.mark.hardware(image="huge-v3.0.img")
def test_one(power): power.read()

@pytest.mark.hardware(image="huge-v3.0.img")
def test_two(power): power.read()

def test_next_image(power): power.read()
"""
    inner = run_suite(source, BOARD, f"--hil-image={image}")

    assert inner.results() == {"test_one": "error", "test_two": "error", "test_next_image": "passed"}
    assert "see test_inner.py::test_one" in inner.outcomes["test_two"].message


def test_image_without_option_is_an_error_of_the_fixture(run_suite: RunSuite) -> None:
    inner = run_suite("def test_image(image): pass", BOARD)

    assert inner.results() == {"test_image": "error"}
    assert "pytest --hil-image IMAGE" in inner.text


def test_image_by_address_is_downloaded_and_proven(run_suite: RunSuite, image: Path) -> None:
    content = image.read_bytes()
    with ImageServer(content).running() as server:
        address = f"{server.url}#sha256={hashlib.sha256(content).hexdigest()}"
        inner = run_suite(SHOWS_IMAGE, BOARD, f"--hil-image={address}")

    assert inner.results() == {"test_first": "passed", "test_second": "passed"}


def test_image_of_the_place_is_the_default(
    run_suite: RunSuite, pytester: pytest.Pytester, image: Path, simulator: SimulatorProcess, serial: str
) -> None:
    folder = pytester.mkdir("lab")
    image.rename(folder / image.name)
    (folder / "lab.toml").write_text(f'[place.rack-1]\nserial = "{serial}"\nimage = "{image.name}"\n')
    inner = run_suite(
        SHOWS_IMAGE, f"--hil-boards=sim@{simulator.management.port}", f"--hil-lab={folder / 'lab.toml'}"
    )

    assert inner.results() == {"test_first": "passed", "test_second": "passed"}


@pytest.mark.parametrize("asked", ["missing.img", "https://images.lan/dut.img", "rack-1=missing.img"])
def test_image_that_is_not_there_ends_the_run_before_its_first_test(run_suite: RunSuite, asked: str) -> None:
    inner = run_suite(SHOWS_IMAGE, BOARD, f"--hil-image={asked}")

    assert inner.status == pytest.ExitCode.USAGE_ERROR
    assert "INTERNALERROR" not in inner.text


def test_image_time_limit_is_no_part_of_the_tests(run_suite: RunSuite, image: Path) -> None:
    inner = run_suite(
        "def test_one(power): power.read()", BOARD, f"--hil-image={image}", "--hil-image-limit=0.001"
    )

    assert inner.results() == {"test_one": "error"}
    assert "--hil-image-limit SECONDS" in inner.text


@pytest.fixture
def two_images(image: Path) -> tuple[str, str]:
    """Options for two images."""
    older = disk_image(image.with_name("dut-v2.0.img"))
    return f"--hil-image={older}", f"--hil-image={image}"


VERSIONS = program(__file__, "image_runs_versions")


def test_image_given_twice_means_both(run_suite: RunSuite, two_images: tuple[str, str]) -> None:
    inner = run_suite(VERSIONS, BOARD, *two_images)

    assert inner.results() == dict.fromkeys(
        (
            *("test_boot[v2.0]", "test_mode[v2.0-fast]", "test_mixed[v2.0]", "test_boot[v2.1]"),
            *("test_mode[v2.1-fast]", "test_mixed[v2.1]", "test_no_board"),
        ),
        "passed",
    )


def test_image_changes_as_seldom_as_possible(run_suite: RunSuite, two_images: tuple[str, str]) -> None:
    inner = run_suite(VERSIONS, BOARD, *two_images)

    assert inner.text.count("flashed and verified") == 2


@pytest.mark.parametrize("workers", [(), ("-n2",)])
def test_image_matrix_runs_on_each_board_with_each_image(
    run_suite: RunSuite, two_images: tuple[str, str], workers: tuple[str, ...]
) -> None:
    source = "def test_boot(power, image): power.read()\ndef test_more(power): power.read()"
    inner = run_suite(source, "--hil-boards=sim:2,speed=10", "--hil-each=board", *two_images, *workers)

    cells = [f"sim-{board}-{version}" for board in (1, 2) for version in ("v2.0", "v2.1")]
    names = [f"{test}[{cell}]" for test in ("test_boot", "test_more") for cell in cells]
    assert inner.results() == dict.fromkeys(names, "passed")
    assert inner.text.count("flashed and verified") == 4


def test_image_for_a_place_goes_to_its_board_alone(run_suite: RunSuite, two_images: tuple[str, str]) -> None:
    older, newer = two_images
    asked = (older.replace("=", "=sim-1=", 1), newer)
    source = """
def test_boot(power, image, request):
    power.read()
    assert image.version == {"test_boot[sim-1]": "v2.0", "test_boot[sim-2]": "v2.1"}[request.node.name]
"""
    inner = run_suite(source, "--hil-boards=sim:2,speed=10", "--hil-each=board", *asked)

    assert inner.results() == {"test_boot[sim-1]": "passed", "test_boot[sim-2]": "passed"}


def test_image_given_twice_refuses_a_test_without_parameters(
    run_suite: RunSuite, two_images: tuple[str, str]
) -> None:
    source = """
import unittest, pytest

@pytest.mark.hardware
class TestOld(unittest.TestCase):
    def test_method(self): pass
"""
    inner = run_suite(source, BOARD, *two_images)

    assert inner.results() == {"test_method": "error"}
    assert "with each image" in inner.text


PARAMETER_WITH_IMAGE = """
import pytest

@pytest.mark.parametrize("x", [pytest.param(1, marks=pytest.mark.hardware(image="dut-v2.0.img"))])
def test_boot(power, image, x):
    power.read()
    assert image.version == "v2.0"
"""


def test_image_of_a_parameter_wins_over_that_of_a_column(
    run_suite: RunSuite, two_images: tuple[str, str]
) -> None:
    inner = run_suite(PARAMETER_WITH_IMAGE, BOARD, "--hil-each=board", two_images[1])

    assert inner.results() == {"test_boot[sim-1-1]": "passed"}, inner.text


def test_image_given_twice_refuses_a_test_whose_parameter_has_an_image(
    run_suite: RunSuite, two_images: tuple[str, str]
) -> None:
    inner = run_suite(PARAMETER_WITH_IMAGE, BOARD, *two_images)

    assert inner.results() == {"test_boot[v2.0-1]": "error", "test_boot[v2.1-1]": "error"}, inner.text


def test_image_for_an_unknown_board_is_refused(run_suite: RunSuite, two_images: tuple[str, str]) -> None:
    inner = run_suite(VERSIONS, BOARD, two_images[0].replace("=", "=sim-l=", 1))

    assert inner.status == pytest.ExitCode.USAGE_ERROR
    assert "did you mean sim-1?" in inner.text


def test_images_are_counted_in_the_ledger(run_suite: RunSuite, two_images: tuple[str, str]) -> None:
    inner = run_suite(VERSIONS, BOARD, *two_images)

    assert "images: 2 flashes planned, 2 done: 2 written, 0 were on the stick already" in inner.text


@pytest.mark.parametrize(("boards", "workers"), [(1, "-n0"), (2, "-n3")])
def test_images_of_markers_are_flashed_once_each_in_whatever_order_the_tests_stand(
    run_suite: RunSuite, image: Path, boards: int, workers: str
) -> None:
    disk_image(image.with_name("rescue.img"))
    where = f"--hil-boards=sim:{boards},speed=10"
    inner = run_suite(
        program(__file__, "image_runs_markers"),
        where,
        "--hil-each=board",
        "--hil-image=dut-v2.1.img",
        workers,
    )

    assert set(inner.results().values()) == {"passed"}, inner.text
    assert f"{2 * boards} done" in inner.text, inner.text


def test_image_is_on_both_boards_of_a_test_and_flashed_once(run_suite: RunSuite, image: Path) -> None:
    source = """
import pytest

@pytest.mark.hardware(boards=2)
@pytest.mark.parametrize("number", [1, 2])
def test_link(dutlinks, number):
    for board in dutlinks.values():
        board.power.read()
        assert board.storage.flashed.label == "dut-v2.1.img"
"""
    inner = run_suite(source, "--hil-boards=sim:2,speed=10", f"--hil-image={image}")

    assert inner.results() == {"test_link[1]": "passed", "test_link[2]": "passed"}
    assert inner.text.count("flashed and verified") == 2


@pytest.mark.parametrize("workers", ["-n0", "-n3"])
def test_images_are_written_once_to_each_board_beside_tests_with_two_boards(
    run_suite: RunSuite, two_images: tuple[str, str], workers: str
) -> None:
    where = "--hil-boards=sim:2,speed=10"
    inner = run_suite(program(__file__, "image_runs_pairs"), where, "--hil-each=board", *two_images, workers)

    assert set(inner.results().values()) == {"passed"}, inner.text
    assert ": 4 written" in inner.text, inner.text


@pytest.mark.parametrize(
    "way",
    [
        "other = hil.open_board().storage; other.flash('rescue.img'); other.dut()",
        "subprocess.run([sys.executable, '-m', 'hil.cli.main', 'flash', 'rescue.img'], check=True)",
    ],
    ids=["second object", "child"],
)
@pytest.mark.usefixtures("serial")
def test_image_is_put_again_after_the_stick_was_turned_by_other_means(
    run_suite: RunSuite, image: Path, simulator: SimulatorProcess, way: str
) -> None:
    disk_image(image.with_name("rescue.img"))
    source = f"""
import subprocess, sys
import hil

def test_first(dutlink):
    dutlink.power.read()
    {way}

def test_second(dutlink, image, storage):
    dutlink.power.read()
    assert storage.flash(image.path).written_bytes == 0
"""
    where = f"sim@{simulator.ready['control_port']}"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HIL_BOARDS", where)
        inner = run_suite(source, f"--hil-boards={where}", f"--hil-image={image}")

    assert inner.results() == {"test_first": "passed", "test_second": "passed"}, inner.text
    assert inner.outcomes["test_first"].properties["hil_image"].startswith("dut-v2.1.img")


def test_image_is_verified_again_after_a_test_turned_the_stick_by_pyusb(
    run_suite: RunSuite, image: Path
) -> None:
    source = """
def test_first(dutlink):
    dutlink.power.read()
    link = dutlink.storage._link
    for turn in (0, 1, 0, 2):  # off, host, off, DUT
        link._device.ctrl_transfer(0x41, 2, turn, link._interface)

def test_second(dutlink): dutlink.power.read()
"""
    inner = run_suite(source, BOARD, f"--hil-image={image}")

    assert inner.results() == {"test_first": "passed", "test_second": "passed"}, inner.text
    assert "later 1 proven again" in inner.text


def test_image_is_put_again_before_a_rerun(run_suite: RunSuite, image: Path) -> None:
    source = """
import pytest

@pytest.mark.flaky(reruns=1)
def test_boot(dutlink, image, request):
    dutlink.power.read()
    assert dutlink.storage.position == "dut"
    dutlink.storage.off()
    assert request.node.execution_count == 2
"""
    inner = run_suite(source, BOARD, f"--hil-image={image}")

    assert inner.results() == {"test_boot": "passed"}, inner.text


def test_image_file_that_changes_during_the_run_is_refused(run_suite: RunSuite, image: Path) -> None:
    source = """
def test_first(dutlink, image):
    dutlink.power.read()
    dutlink.storage.off()
    image.path.write_bytes(image.path.read_bytes()[:-512] + bytes(512))

def test_second(dutlink, image): dutlink.power.read()
"""
    inner = run_suite(source, BOARD, f"--hil-image={image}")

    assert inner.results() == {"test_first": "passed", "test_second": "error"}
    assert "was changed during the run" in inner.text


def test_image_file_that_changes_between_the_flashes_of_two_workers_is_refused(
    run_suite: RunSuite, pytester: pytest.Pytester, image: Path
) -> None:
    pytester.makepyfile(changes_image=program(__file__, "image_runs_changed"))
    source = f"""
from pathlib import Path

def test_boot(dutlink, image):
    dutlink.power.read()
    Path({os.fspath(pytester.path / "flashed")!r}).touch()
"""
    where = ("--hil-boards=sim:2,speed=10", "--hil-each=board", "-n2")
    inner = run_suite(source, *where, f"--hil-image={image}", "-p", "changes_image")

    assert sorted(inner.results().values()) == ["error", "passed"], inner.text
    assert "was changed during the run" in inner.text


def test_image_in_junit_names_the_runs_image_and_what_the_test_flashed_over_it(
    run_suite: RunSuite, image: Path
) -> None:
    disk_image(image.with_name("rescue.img"))
    source = "def test_boot(dutlink, storage, image): storage.flash('rescue.img')"
    inner = run_suite(source, BOARD, f"--hil-image={image}")

    told = inner.outcomes["test_boot"].properties["hil_image"]
    assert [one.split()[0] for one in told.split(", then ")] == ["dut-v2.1.img", "rescue.img"]


@pytest.mark.parametrize("workers", ["-n0", "-n2"])
def test_image_with_another_digest_on_the_second_board_is_an_error(
    run_suite: RunSuite, pytester: pytest.Pytester, image: Path, workers: str
) -> None:
    pytester.makepyfile(changes_image=program(__file__, "image_runs_changed"))
    source = f"""
from pathlib import Path
from hil.suite.images import board_images
board_images.check_unchanged = lambda *_: None  # as for a file that a program has mapped

def test_boot(dutlink, image):
    dutlink.power.read()
    image.path.write_bytes(image.path.read_bytes()[:-512] + bytes(512))
    Path({os.fspath(pytester.path / "flashed")!r}).touch()
"""
    where = ("--hil-boards=sim:2,speed=10", "--hil-each=board", workers)
    inner = run_suite(source, *where, f"--hil-image={image}", "-p", "changes_image")

    assert sorted(inner.results().values()) == ["error", "passed"], inner.text
    assert "when this run flashed it first" in inner.text
