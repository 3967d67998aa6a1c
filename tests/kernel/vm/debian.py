"""What this machine's own apt says: where packages come from, and which versions there are."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.kernel.vm.steps import BuildError, step

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["Mirror", "download", "kernel_package", "mirror", "versions"]

_ASK_LIMIT_S = 60.0
_DOWNLOAD_LIMIT_S = 300.0
_KERNEL = "linux-image-amd64"
_REFRESH = "sudo apt-get update"


@dataclass(frozen=True, slots=True)
class Mirror:
    """Where debootstrap gets its packages.

    Attributes:
        url: Of the archive.
        release: Its code name.
    """

    url: str
    release: str


def mirror() -> Mirror:
    """Return the archive that apt is set up with.

    Raises:
        BuildError: apt knows none for Debian.
    """
    wanted = "$(ORIGIN)|$(REPO_URI)|$(CODENAME)|$(COMPONENT)"
    lines = step(
        "asking apt for its mirror",
        *("apt-get", "indextargets", "--format", wanted, "Created-By: Packages"),
        limit_s=_ASK_LIMIT_S,
    ).splitlines()
    for origin, url, release, component in (line.split("|") for line in lines if line.count("|") == 3):
        if origin == "Debian" and component == "main" and "-" not in release:
            return Mirror(url, release)
    raise BuildError(
        "apt on this machine has no Debian release to build from",
        why="the virtual machine is made of Debian's packages",
        remedy=f"{_REFRESH}; on another distribution, run this session in a Debian container",
    )


def kernel_package() -> str:
    """Return the name of the package with the release's kernel, modules included.

    Raises:
        BuildError: apt does not know it.
    """
    said = step("asking apt for the kernel", "apt-cache", "depends", _KERNEL, limit_s=_ASK_LIMIT_S)
    found = re.search(r"Depends: (linux-image-\S+)", said)
    if found is None:
        raise BuildError(f"apt knows no {_KERNEL}", why=said.strip(), remedy=_REFRESH)
    return found[1]


def versions(*packages: str) -> str:
    """Return one line `package version` for each package, as apt would install it now."""
    said = step("asking apt for versions", "apt-cache", "policy", *packages, limit_s=_ASK_LIMIT_S)
    found = re.findall(r"^(\S+):\n.*\n +Candidate: (\S+)", said, flags=re.MULTILINE)
    return "\n".join(f"{name} {version}" for name, version in found)


def download(package: str, folder: Path) -> Path:
    """Fetch a package into `folder` and unpack it there; returns the folder that it was unpacked to."""
    title = f"fetching {package}"
    step(
        title,
        *("apt-get", "-q", "-o", "APT::Sandbox::User=root", "download", package),
        limit_s=_DOWNLOAD_LIMIT_S,
        folder=folder,
    )
    (file,) = folder.glob(f"{package}_*.deb")
    unpacked = folder / package
    step(f"unpacking {package}", "dpkg-deb", "-x", file, unpacked, limit_s=_DOWNLOAD_LIMIT_S)
    file.unlink()
    return unpacked
