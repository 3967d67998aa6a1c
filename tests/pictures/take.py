"""Takes the pictures in README and docs: a terminal, nights of real runs on simulated boards, a Chromium.

`nox -s pictures` writes docs/pictures/*.png. Nothing in them is drawn by hand or made up: the nights follow
each other within minutes, that is all.
"""

from __future__ import annotations

import argparse
import io
import os
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image
from playwright.sync_api import sync_playwright

from hil.sim.dut.image import build_image
from hil.sim.process import SimulatorProcess
from tests.pictures.terminal import terminal_page

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
PICTURES = ROOT / "docs" / "pictures"
MOST_BYTES = 200_000
LIMIT_S = 180
CHROMIUM = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
]


def main() -> None:
    """Type at a bench, run the nights, open the pages, keep what is seen."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--nights", type=int, default=10)
    parser.add_argument("--only-terminal", action="store_true", help="leave the nights out")
    parser.add_argument("--folder", type=Path, help="keep the nights there")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="hil-pictures-") as temporary:
        folder = options.folder or Path(temporary)
        product = lay_out(folder / "product")
        with ThreadPoolExecutor() as pool:  # most of the time each waits for its boards
            nights = None if options.only_terminal else pool.submit(run_nights, product, options.nights)
            on_each = pool.submit(run_on_each, folder / "on-each")
            shots = [Shot("terminal", show_bench(folder / "bench"), (960, 400), of="#terminal")]
            shots.append(Shot("tests_by_boards", on_each.result(), (1200, 560)))
            if nights is not None:
                shots += shots_of_nights(nights.result())
        take_pictures(shots)


def lay_out(folder: Path) -> Path:
    """Make a repository of tests as a user has it, and return it."""
    (folder / "tests").mkdir(parents=True, exist_ok=True)
    (folder / "seen").mkdir(exist_ok=True)
    shutil.copy(ROOT / "conftest.py", folder)
    shutil.copy(HERE / "shown_dut.py", folder / "tests" / "test_product.py")
    (folder / "pytest.ini").write_text("[pytest]\n", encoding="utf-8")
    return folder


def show_bench(folder: Path) -> Path:
    """Type what one types at a bench with two boards, and return the page that shows it."""
    folder.mkdir()
    build_image(folder / "product-1.4.img", "product-1.4", 24 << 20)
    subprocess.run(["xz", "-k", "product-1.4.img"], cwd=folder, check=True)
    with SimulatorProcess(boards=2, speed=2.0) as simulator:
        serial = simulator.serials()[0]
        environment = {
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "HOME": str(folder),
            "HIL_BOARDS": f"sim@{simulator.ready['control_port']}",
            "HIL_LOCK_DIR": str(folder / "bench-locks"),
        }
        commands = [
            "hil doctor --quick",
            "hil boards",
            f"export HIL_BOARD={serial}",
            "hil flash product-1.4.img.xz",
            "hil power on",
            "sleep 2",
            "hil power read",
        ]
        return terminal_page(folder / "terminal.html", folder, commands, environment)


def run_on_each(folder: Path) -> Path:
    """Run tests on two boards with two images, and return the page of tests by boards."""
    (folder / "tests").mkdir(parents=True, exist_ok=True)
    shutil.copy(ROOT / "conftest.py", folder)
    shutil.copy(HERE / "shown_on_each.py", folder / "tests" / "test_product.py")
    (folder / "pytest.ini").write_text("[pytest]\n", encoding="utf-8")
    for version in ("v2.0", "v2.1"):
        build_image(folder / f"rack-{version}.img", f"rack-{version}", 8 << 20)
    with SimulatorProcess(boards=2, speed=4.0, stick_bytes=8 << 20) as simulator:
        places = zip(("jetson-1", "pi-1"), simulator.serials(), strict=True)
        lab = "".join(f'[place.{name}]\nserial = "{serial}"\n' for name, serial in places)
        (folder / "lab.toml").write_text(lab, encoding="utf-8")
        environment = os.environ | {
            "HIL_BOARDS": f"sim@{simulator.ready['control_port']}",
            "HIL_LOCK_DIR": str(folder / "locks"),
            "SHOWN_SLOWER_S": "6",
            "PYTHONPATH": str(ROOT),
        }
        options = ["--hil-each=board", "--hil-image=rack-v2.0.img", "--hil-image=rack-v2.1.img"]
        command = [sys.executable, "-m", "pytest", "-n2", *options, "--hil-report=report", "--hil-repeat=0"]
        print(run_tests(command, folder, environment).stdout[-3000:])  # noqa: T201
    return folder / "report" / "boards.html"


def run_tests(
    command: list[str], folder: Path, environment: dict[str, str]
) -> subprocess.CompletedProcess[str]:
    """Run tests of which some fail on purpose; a run that does not end fails the pictures."""
    return subprocess.run(
        command, cwd=folder, env=environment, check=False, capture_output=True, text=True, timeout=LIMIT_S
    )


def run_nights(folder: Path, nights: int) -> Path:
    """Run them one after the other on the same three boards; one of these has a weak supply."""
    with SimulatorProcess(boards=3, speed=8.0, stick_bytes=8 << 20) as simulator:
        simulator.management.fault(simulator.serials()[1], "sag", volts=4.6)
        for night in range(nights):
            environment = os.environ | {
                "HIL_BOARDS": f"sim@{simulator.ready['control_port']}",
                "HIL_LOCK_DIR": str(folder / "locks"),
                "HIL_LAB": "none",
                "HIL_COMMIT": f"{0x3F9A1C0 + (night >= 8) * 0x51B7:07x}{'0' * 33}",
                "SHOWN_NIGHT": str(night),
                "SHOWN_LOOKS_S": "2.5" if night == nights - 1 else "0.3",
                "SHOWN_SEEN": str(folder / "seen"),
                "PYTHONPATH": str(ROOT),
            }
            command = [sys.executable, "-m", "hil.cli.main", "nightly", "run", "--", "-n", "3", "-q"]
            ran = run_tests(command, folder, environment)
            print(f"night {night + 1} of {nights}: exit status {ran.returncode}", flush=True)  # noqa: T201
    return folder / "nightly"


def shots_of_nights(nightly: Path) -> list[Shot]:
    """What is shown of the nights."""
    nights, newest = nightly / "report" / "index.html", nightly / "newest" / "report"
    failed = next((newest / "tests").glob("*boots_within_its_budget*.html"))
    return [
        Shot("nights", nights, (1200, 1400)),
        Shot("run", newest / "index.html", (1200, 1000), "dark"),
        Shot("test", failed, (1200, 1000), at=".scroll:has(> svg.power)", above=90),
        Shot("phone", nights, (390, 760), "dark"),
    ]


def take_pictures(shots: list[Shot]) -> None:
    """Open the pages and keep each as a small PNG."""
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=CHROMIUM)
        for shot in shots:
            shot.take(browser)
        browser.close()


@dataclass(frozen=True)
class Shot:
    """One picture: what a window of that size shows of a page, from so many pixels above the last `at` on.

    Where `of` says so, the picture is of that part of the page, as high as it is.
    """

    name: str
    page: Path
    size: tuple[int, int]
    scheme: str = "light"
    at: str = ""
    above: int = 0
    of: str = ""

    def take(self, browser: Any) -> None:
        """Open the page and keep the picture."""
        width, height = self.size
        page = browser.new_page(viewport={"width": width, "height": height}, color_scheme=self.scheme)
        page.goto(self.page.resolve().as_uri())
        if self.at:
            page.locator(self.at).last.evaluate("element => element.scrollIntoView()")
            page.evaluate("pixels => scrollBy(0, -pixels)", self.above)
            page.wait_for_timeout(200)  # what was out of sight is drawn
        seen = page.locator(self.of).screenshot() if self.of else page.screenshot()
        shrink(seen, PICTURES / f"{self.name}.png")
        page.close()


def shrink(picture: bytes, path: Path) -> None:
    """Write a picture with as many colours as fit into its limit."""
    path.parent.mkdir(parents=True, exist_ok=True)
    whole = Image.open(io.BytesIO(picture)).convert("RGB")
    for colours in (256, 128, 64):
        whole.quantize(colours, dither=Image.Dither.NONE).save(path, optimize=True)
        if path.stat().st_size < MOST_BYTES:
            return
    message = f"{path} does not fit into {MOST_BYTES} bytes"
    raise SystemExit(message)


if __name__ == "__main__":
    main()
