"""What this machine must have, said in one line where it is missing."""

from __future__ import annotations

import os
import platform
import shutil
from pathlib import Path

from tests.kernel.vm.steps import BuildError

__all__ = ["TO_BUILD", "TO_RUN", "check_project", "check_tools", "check_user"]

TO_RUN = {"qemu-system-x86_64": "qemu-system-x86"}
"""Program: the Debian package that has it."""

TO_BUILD = {
    "apt-get": "apt",
    "apt-cache": "apt",
    "cpio": "cpio",
    "debootstrap": "debootstrap",
    "depmod": "kmod",
    "dpkg-deb": "dpkg",
    "mke2fs": "e2fsprogs",
}

_SYSTEM_FOLDERS = ("/usr/sbin", "/sbin")
_GUEST_FOLDERS = ("/dev", "/proc", "/run", "/sys")


def check_tools(tools: dict[str, str]) -> None:
    """See whether every program is there; folders for root alone count, too.

    Raises:
        BuildError: Some are not; it names their packages.
    """
    if platform.machine() != "x86_64":
        raise BuildError("nox -s kernel knows x86_64 only", why=f"this is {platform.machine()}")
    path = os.pathsep.join([os.environ.get("PATH", os.defpath), *_SYSTEM_FOLDERS])
    os.environ["PATH"] = path
    missing = [program for program in tools if shutil.which(program, path=path) is None]
    if missing:
        packages = " ".join(dict.fromkeys(tools[program] for program in missing))
        raise BuildError(
            f"nox -s kernel needs {', '.join(missing)}",
            remedy=f"sudo apt install {packages}",
        )


def check_project(project: Path) -> None:
    """Check that the guest can see the project at the path that it has on this machine.

    Raises:
        BuildError: The guest mounts its own file system over that path.
    """
    hidden = next((folder for folder in _GUEST_FOLDERS if project.is_relative_to(folder)), None)
    if hidden:
        raise BuildError(
            f"nox -s kernel cannot show {project} to its virtual machine",
            why=f"the virtual machine mounts file systems of its own in {hidden}",
            remedy="clone the project elsewhere, for example in your home folder",
        )


def check_user(cached: Path) -> None:
    """See whether this user may build; what is built already anybody may use.

    Raises:
        BuildError: Not root.
    """
    if os.geteuid() != 0:
        raise BuildError(
            "nox -s kernel must build its virtual machine once as root",
            why=f"debootstrap needs root, and {cached} is not there yet",
            remedy=f"sudo HIL_CACHE_DIR={cached.parents[1]} {Path('nox')} -s kernel, then again as yourself",
        )
