"""The kernel: the ELF image out of its compressed one, and the modules that the guest needs."""

from __future__ import annotations

import lzma
import shutil
from typing import TYPE_CHECKING

from tests.kernel.vm.steps import BuildError, step

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

__all__ = ["GUEST_MODULES", "START_MODULES", "copy_modules", "module_files", "uncompressed"]

START_MODULES = ("virtio_pci", "virtio_blk", "crc32c_generic", "ext4", "overlay", "9p", "9pnet_virtio")
"""What finds the root image and the host's folders, in the order of loading."""

GUEST_MODULES = ("vhci-hcd", "cdc-acm", "usb-storage", "sd_mod", "loop", "virtio_net")
"""What the guest loads when it runs."""

_XZ = b"\xfd7zXZ\x00"
_ELF = b"\x7fELF"
_LIMIT_S = 60.0


def uncompressed(image: Path) -> bytes:
    """Return the ELF image that a bzImage carries.

    QEMU starts it through PVH, three times as fast without KVM as the kernel unpacks itself.

    Raises:
        BuildError: There is none, or it is not packed with xz.
    """
    packed = image.read_bytes()
    at = packed.find(_XZ)
    while at >= 0:
        try:
            elf = lzma.LZMADecompressor().decompress(packed[at:])
        except lzma.LZMAError:
            elf = b""
        if elf.startswith(_ELF):
            return elf
        at = packed.find(_XZ, at + 1)
    raise BuildError(
        f"{image.name} holds no kernel that was packed with xz",
        why="Debian 12 packs its kernels so",
        remedy="build on a Debian 12 machine, or teach tests/kernel/vm/kernel.py this format",
    )


def module_files(tree: Path, names: Iterable[str]) -> list[Path]:
    """Return the files of modules and of what they need, in the order of loading, relative to `tree`.

    Args:
        tree: `lib/modules/VERSION`, with the `modules.dep` that depmod made.
        names: Modules; one that is built into the kernel has no file.
    """
    needs: dict[str, list[str]] = {}
    for line in (tree / "modules.dep").read_text("utf-8").splitlines():
        file, _, others = line.partition(":")
        needs[file] = others.split()
    by_name = {_name(file): file for file in needs}
    ordered: dict[str, None] = {}
    for file in filter(None, (by_name.get(name.replace("-", "_")) for name in names)):
        ordered |= dict.fromkeys([*reversed(needs[file]), file])
    return [tree.joinpath(file).relative_to(tree) for file in ordered]


def copy_modules(tree: Path, root: Path) -> None:
    """Put the guest's modules into its root folder, and make the lists that modprobe reads."""
    target = root / "lib" / "modules" / tree.name
    for file in [*module_files(tree, GUEST_MODULES), *_lists(tree)]:
        (target / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(tree / file, target / file)
    step("listing the modules", "depmod", "-b", root, tree.name, limit_s=_LIMIT_S)


def _lists(tree: Path) -> list[Path]:
    """The files that depmod itself reads, relative to `tree`."""
    names = ("modules.order", "modules.builtin", "modules.builtin.modinfo")
    return [(tree / name).relative_to(tree) for name in names if (tree / name).exists()]


def _name(file: str) -> str:
    return file.rpartition("/")[2].partition(".")[0].replace("-", "_")
