"""The virtual machine's three files: kernel, first file system and root image."""

from __future__ import annotations

import gzip
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

from tests.kernel.vm import debian
from tests.kernel.vm.kernel import START_MODULES, copy_modules, module_files, uncompressed
from tests.kernel.vm.steps import BuildError, say, step

if TYPE_CHECKING:
    from tests.kernel.vm.cache import Cache

__all__ = ["INITRD", "KERNEL", "PYTHON_VERSION", "ROOT_IMAGE", "build_images", "images_path", "make_image"]

KERNEL = "vmlinux"
INITRD = "initrd.gz"
ROOT_IMAGE = "root.img"
PYTHON_VERSION = "python-version"
_HERE = Path(__file__).parent
_INIT = _HERE.parent / "guest" / "init"
_BUILDERS = (Path(__file__), _HERE / "kernel.py", _HERE / "debian.py", _INIT)

_PACKAGES = ("udev", "libusb-1.0-0", "python3", "kmod", "procps", "iproute2")
_BUSYBOX = "busybox-static"
_IMAGE_BYTES = 600 << 20
_DEBOOTSTRAP_LIMIT_S = 400.0
_IMAGE_LIMIT_S = 120.0


def images_path(cache: Cache) -> Path:
    """Where the images are kept that would be built now: by kernel, package versions and builder."""
    source = debian.mirror()
    kernel = debian.kernel_package()
    versions = debian.versions(kernel, _BUSYBOX, *_PACKAGES)
    return cache.path("images", source.release, versions, *(file.read_text("utf-8") for file in _BUILDERS))


def build_images(folder: Path) -> None:
    """Build all three files into `folder`; takes two to four minutes.

    Raises:
        BuildError: A step failed.
    """
    work = folder / "work"
    work.mkdir()
    package = debian.download(debian.kernel_package(), work)
    (tree,) = package.glob("lib/modules/*")
    folder.joinpath(KERNEL).write_bytes(uncompressed(next(package.glob("boot/vmlinuz-*"))))
    step("listing the kernel's modules", "depmod", "-b", package, tree.name, limit_s=_IMAGE_LIMIT_S)
    folder.joinpath(INITRD).write_bytes(_initrd(work, tree))
    root = _root_folder(work / "root")
    copy_modules(tree, root)
    folder.joinpath(PYTHON_VERSION).write_text(_python_version(root), "utf-8")
    make_image(root, folder / ROOT_IMAGE, _IMAGE_BYTES)
    shutil.rmtree(work)


def _initrd(work: Path, tree: Path) -> bytes:
    """Return a file system with busybox, the modules that find the root image, and `init`."""
    start = work / "start"
    (start / "modules").mkdir(parents=True)
    busybox = debian.download(_BUSYBOX, work)
    shutil.copy(next(busybox.glob("**/bin/busybox")), start / "busybox")
    shutil.copy(_INIT, start / "init")
    start.joinpath("init").chmod(0o755)
    files = module_files(tree, START_MODULES)
    for file in files:
        shutil.copy(tree / file, start / "modules" / file.name)
    start.joinpath("modules", "order").write_text("".join(f"{file.name}\n" for file in files), "utf-8")
    names = "\n".join(str(path.relative_to(start)) for path in sorted(start.rglob("*")))
    packed = subprocess.run(
        ["cpio", "--create", "--format=newc", "--owner=0:0", "--quiet"],
        cwd=start,
        input=names.encode(),
        stdout=subprocess.PIPE,
        check=True,
        timeout=_IMAGE_LIMIT_S,
    )
    return gzip.compress(packed.stdout, compresslevel=6, mtime=0)


def _root_folder(root: Path) -> Path:
    source = debian.mirror()
    say("debootstrap takes a minute or two")
    step(
        "debootstrap",
        *("debootstrap", "--variant=minbase", f"--include={','.join(_PACKAGES)}", source.release, root),
        source.url,
        limit_s=_DEBOOTSTRAP_LIMIT_S,
    )
    for unneeded in ("var/cache/apt", "var/lib/apt/lists", "usr/share/doc", "usr/share/locale"):
        shutil.rmtree(root / unneeded, ignore_errors=True)
    return root


def _python_version(root: Path) -> str:
    """Return the guest's Python version, "3.11".

    Raises:
        BuildError: It has none.
    """
    versions = [path.name.removeprefix("python") for path in root.glob("usr/bin/python3.*")]
    if not versions:
        raise BuildError("the guest has got no python3", why="debootstrap did not install it")
    return min(versions, key=len)


def make_image(folder: Path, image: Path, size_bytes: int) -> None:
    """Make a disk image of a folder; it takes no more room than its files do."""
    with image.open("wb") as file:
        file.truncate(size_bytes)
    step(
        f"making {image.name}",
        *("mke2fs", "-q", "-t", "ext4", "-O", "^has_journal", "-d", folder, image),
        limit_s=_IMAGE_LIMIT_S,
    )
