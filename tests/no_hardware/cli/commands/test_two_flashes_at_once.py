"""Two `hil flash` at the same time on one host, each for its own board: neither fails, whatever the delay."""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import hil
from hil.dutlink.timing import sleep
from hil.sim.dut.image import build_image
from tests.support.other_user import MALLORY, VICTIM, folder_for_everybody, only_root

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hil.sim.process import SimulatorProcess

pytestmark = [pytest.mark.thorough, pytest.mark.timeout(300)]

REPOSITORY = Path(hil.__file__).parents[1]
IMAGE_BYTES = 2 << 20
STICK_BYTES = 8 << 20
SPEED = 3.0
"""Slow enough for the sticks' comings to overlap with the looks of the other process."""

LIMIT_S = 120.0
# Users who may open all: the interpreter may lie in a user's home, and the sticks are the simulator's.
AS_USER = [
    *("setpriv", "--clear-groups", "--inh-caps=+dac_override", "--ambient-caps=+dac_override"),
    *("--bounding-set=-all,+dac_override,+setpcap", "--no-new-privs"),
]
SIMULATOR = {"boards": 2, "speed": SPEED, "stick_bytes": STICK_BYTES}


@pytest.fixture
def folder() -> Iterator[Path]:
    with folder_for_everybody() as folder:
        folder.joinpath("locks").mkdir()
        folder.joinpath("locks").chmod(0o1777)
        yield folder


def flash(
    simulator: SimulatorProcess, folder: Path, serial: str, image: Path, user: int | None = None
) -> subprocess.Popen[str]:
    environment = {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ} | {
        "PYTHONPATH": str(REPOSITORY),
        "PYTHONDONTWRITEBYTECODE": "1",
        "HIL_BOARDS": f"sim@{simulator.management.port}",
        "HIL_LOCK_DIR": str(folder / "locks"),
        "HIL_LAB": "none",
    }
    as_user = [] if user is None else [*AS_USER, f"--reuid={user}", f"--regid={user}"]
    command = [sys.executable, "-m", "hil.cli.main", "--json", "flash", "--force", "--board", serial]
    return subprocess.Popen(
        [*as_user, *command, str(image)],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def both_flash(
    simulator: SimulatorProcess, folder: Path, rng: random.Random, users: tuple[int | None, int | None]
) -> list[Any]:
    """Flash both boards, in any order, the second one any time after the first; return what they said."""
    boards = list(zip(simulator.serials(), users, strict=True))
    rng.shuffle(boards)
    running = []
    for index, (serial, user) in enumerate(boards):
        image = folder / f"image-{serial}.img"
        build_image(image, f"{serial}-{rng.random()}", IMAGE_BYTES)
        image.chmod(0o644)
        running.append(flash(simulator, folder, serial, image, user))
        if not index:
            sleep(rng.uniform(0, 12 / SPEED))
    said = []
    for (serial, _), process in zip(boards, running, strict=True):
        out, err = process.communicate(timeout=LIMIT_S)
        assert process.returncode == 0, out + err
        stick = Path(simulator.management.state(serial)["stick"]["path"])
        assert stick.read_bytes()[:IMAGE_BYTES] == (folder / f"image-{serial}.img").read_bytes()
        said.append(json.loads(out))
    return said


@pytest.mark.parametrize("seed", range(4))
def test_two_unknown_boards_are_flashed_twice(simulator: SimulatorProcess, folder: Path, seed: int) -> None:
    rng = random.Random(seed)  # noqa: S311 - delays, no secrets
    for _ in range(3):
        said = both_flash(simulator, folder, rng, (None, None))

    assert {one["result"] for one in said} == {"written and verified"}


@only_root
@pytest.mark.skipif(not shutil.which("setpriv"), reason="setpriv plays the users")
@pytest.mark.parametrize("seed", range(4))
def test_two_users_flash_their_boards_at_the_same_time(
    simulator: SimulatorProcess, folder: Path, seed: int
) -> None:
    rng = random.Random(seed)  # noqa: S311 - delays, no secrets
    for _ in range(2):
        said = both_flash(simulator, folder, rng, (MALLORY, VICTIM))

    assert {one["result"] for one in said} == {"written and verified"}
