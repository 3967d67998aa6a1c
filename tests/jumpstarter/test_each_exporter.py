"""`--hil-each board` and `--hil-image` on a lab: each exporter that the selector matches is a board."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest

from tests.jumpstarter.exporters import LIMIT_S
from tests.jumpstarter.jumpstarter_fixtures import wait_until_free
from tests.jumpstarter.lab_run import LabRun

if TYPE_CHECKING:
    from pathlib import Path

    from tests.jumpstarter.controller import Controller

ANY = "jumpstarter:board=dutlink"

pytestmark = [pytest.mark.usefixtures("lab"), pytest.mark.timeout(400)]


@pytest.mark.parametrize("workers", ["0", "2"])
def test_each_test_runs_on_each_exporter_and_skips_on_one_that_is_offline(
    tmp_path: Path, client: Path, controller: Controller, boards: list[str], workers: str
) -> None:
    wait_until_free(controller, 2)
    more = (f"--hil-client={client}", "--hil-each=board", "-n", workers)

    with LabRun(tmp_path / "run", ANY, more, cases="case_each.py") as run:
        text = run.result()

    ran = {sign.name: sign.read_text() for sign in run.signs.iterdir()}
    names = {f"lab{number}": boards[number] for number in range(2)}
    expected = {f"{test}[{name}]": names[name] for test in ("test_meter", "test_version") for name in names}
    assert ran == expected, text
    assert "exporter lab2 is offline" in text, text
    assert "4 passed, 2 skipped" in text, text
    assert controller.active() == []


def images_in(folder: Path) -> list[Path]:
    """Make two images."""
    images = []
    for version in ("v2.0", "v2.1"):
        content = bytearray(random.Random(version).randbytes(1 << 19))  # noqa: S311 - no secret
        content[510:512] = b"\x55\xaa"
        images.append(folder / f"dut-{version}.img")
        images[-1].write_bytes(content)
    return images


@pytest.mark.parametrize("workers", ["0", "2"])
def test_each_exporter_runs_a_test_with_each_image(
    tmp_path: Path, client: Path, controller: Controller, boards: list[str], workers: str
) -> None:
    wait_until_free(controller, 2)
    images = [f"--hil-image={image}" for image in images_in(tmp_path)]
    more = (f"--hil-client={client}", "--hil-each=board", "-n", workers, *images)

    with LabRun(tmp_path / "run", ANY, more, cases="case_each_image.py") as run:
        text = run.result(4 * LIMIT_S)  # each flash has a lease of its own, with hooks

    ran = {sign.name: sign.read_text() for sign in run.signs.iterdir()}
    assert ran == {
        f"test_boot[lab{number}-{version}]": f"{boards[number]} {version} dut"
        for number in range(2)
        for version in ("v2.0", "v2.1")
    }, text
    assert "4 done" in text, text
    assert controller.active() == []


@pytest.mark.parametrize("workers", ["0", "2"])
def test_both_exporters_of_a_test_have_their_own_image(
    tmp_path: Path, client: Path, controller: Controller, boards: list[str], workers: str
) -> None:
    wait_until_free(controller, 2)
    images = [f"--hil-image=lab{number}={image}" for number, image in enumerate(images_in(tmp_path))]
    more = (f"--hil-client={client}", "-n", workers, *images)

    with LabRun(tmp_path / "run", ANY, more, cases="case_two_images.py") as run:
        text = run.result(3 * LIMIT_S)

    red, blue = (f"{boards[number]} dut-v2.{number}.img dut" for number in range(2))
    assert "3 passed" in text, text
    assert (run.signs / "two").read_text() == f"{blue}\n{red}", text
    assert (run.signs / "blue").read_text() == blue, text
    assert (run.signs / "one").read_text() in {red, blue}, text
    assert controller.active() == []
