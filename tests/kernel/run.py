"""`nox -s kernel`: tests on Linux' own USB stack, with simulated boards that it attaches over USB/IP.

Where this machine has vhci_hcd and this user is root the boards are attached here; anywhere else in a small
virtual machine, built when it is first needed. The simulated boards run outside of it.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

from hil.sim.process import SimulatorProcess
from tests.kernel.vm import images, packages
from tests.kernel.vm.cache import Cache, cache_folder
from tests.kernel.vm.machine import HOST_ADDRESS, PACKAGE_FOLDERS, Machine
from tests.kernel.vm.requirements import TO_BUILD, TO_RUN, check_project, check_tools, check_user
from tests.kernel.vm.steps import BuildError, say

ROOT = Path(__file__).parents[2]
JOB = ROOT / "tests" / "kernel" / "guest" / "job.py"
LIMIT_S = 3900.0
"""Limit of everything in the guest; two cores that run nothing else need two thirds of it."""

BOARDS = 2
JUMPSTARTER = ("jumpstarter-driver-dutlink==0.9.0",)
PYSERIAL = "pyserial>=3.5"  # some rows of the table of faults are its errors
VHCI = Path("/sys/devices/platform/vhci_hcd.0/attach")


def main() -> int:
    """Run the session; returns its exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--results", type=Path, default=ROOT / "build" / "kernel", help="where results go")
    parser.add_argument(
        "--vm", action="store_true", help="take the virtual machine even where none is needed"
    )
    parser.add_argument("--stage", action="append", help="run this stage alone: kernel, faults or suite")
    options, pytest_arguments = parser.parse_known_args()
    chosen: dict[str, object] = {"stages": options.stage, "pytest": pytest_arguments}
    os.umask(0o022)  # other users of the guest read what is built here
    in_ci = bool(os.environ.get("CI"))
    try:
        if may_attach_here() and not options.vm:
            return _run_here(options.results, chosen)
        check_project(ROOT)
        check_tools(TO_RUN)
        machine = _machine(options.results)
        return _run_in(machine, chosen)
    except BuildError as error:
        say(str(error) if error.why else f"{error.what}: {error.remedy}")
        without_qemu = not error.why and not in_ci
        if without_qemu:
            say("SKIPPED, nothing was tested (with CI=true this fails)")
        return 0 if without_qemu else 1


def may_attach_here() -> bool:
    """Whether this user may attach boards to this machine's own kernel."""
    if os.geteuid() == 0 and not VHCI.exists() and shutil.which("modprobe"):
        subprocess.run(["modprobe", "vhci-hcd"], check=False, capture_output=True)
    return os.access(VHCI, os.W_OK)


def _machine(results: Path) -> Machine:
    """Return the machine, built or from the cache."""
    cache = Cache(cache_folder())
    check_tools(TO_BUILD)
    path = images.images_path(cache)
    if not path.exists():
        check_user(path)
    built = cache.get(path, images.build_images)
    version = built.joinpath(images.PYTHON_VERSION).read_text("utf-8")
    disks = (
        _packages(cache, "packages", _requirements(), version),
        _packages(cache, "jumpstarter", JUMPSTARTER, version),
    )
    return Machine(built, ROOT, disks, _fresh(results))


def _run_in(machine: Machine, chosen: dict[str, object]) -> int:
    packages_folder, jumpstarter_folder = PACKAGE_FOLDERS
    inside = {"own_machine": True, "packages": packages_folder, "jumpstarter": jumpstarter_folder}
    with SimulatorProcess(boards=BOARDS) as simulator:
        _write_job(machine.results, chosen | inside | {"address": HOST_ADDRESS}, simulator)
        say("starting the virtual machine")
        return machine.run(LIMIT_S)


def _run_here(results: Path, chosen: dict[str, object]) -> int:
    """Attach the boards to this machine's kernel; tests that would change the machine are left out."""
    fresh = _fresh(results)
    with SimulatorProcess(boards=BOARDS) as simulator:
        without = {"own_machine": False, "packages": None, "jumpstarter": None}
        job = chosen | without | {"address": "127.0.0.1"}
        _write_job(fresh, job, simulator)
        say("attaching boards to this machine's own kernel")
        ran = subprocess.run([sys.executable, JOB, fresh], cwd=ROOT, check=False, timeout=LIMIT_S)
    return ran.returncode


def _write_job(results: Path, job: dict[str, object], simulator: SimulatorProcess) -> None:
    job |= {"ready": simulator.ready, "project": str(ROOT)}
    results.joinpath("job.json").write_text(json.dumps(job, indent=2), "utf-8")


def _requirements() -> tuple[str, ...]:
    """What the suite and its tests need, as pyproject.toml says."""
    project = tomllib.loads(ROOT.joinpath("pyproject.toml").read_text("utf-8"))
    return (*project["project"]["dependencies"], *project["dependency-groups"]["test"], PYSERIAL)


def _packages(cache: Cache, kind: str, requirements: tuple[str, ...], version: str) -> Path:
    """Return the disk image with these requirements and what they require."""
    path = cache.path(kind, packages.BUILDER, version, *requirements)
    folder = cache.get(path, lambda unfinished: packages.install(requirements, version, unfinished))
    return folder / packages.PACKAGES_IMAGE


def _fresh(folder: Path) -> Path:
    """Return the folder, empty."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder.absolute()


if __name__ == "__main__":
    sys.exit(main())
