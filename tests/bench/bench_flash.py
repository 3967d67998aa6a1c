"""What flashing costs, against dd, the decompressors and Debian's bmaptool, on one device in one run.

All take turns, round by round, and a ratio compares what was measured in the same round. hil's write is the
phase that ends when the device has everything; what proves it, reading back, is told apart.
"""

from __future__ import annotations

import argparse
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.bench import flash_images
from tests.bench.flash_device import bare_memory_bytes, device, flash, unpacking_s
from tests.bench.ratios import Ratio, rows
from tests.support.harness import say, show

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.harness import Row

MIB = 1 << 20
DENSE_GOAL = 1 / 0.95
QUARTER_GOAL = 1 / 3
HOLES_GOAL = 1.0  # the disk is asked to make them zeros
UNCHANGED_GOAL = 0.3
READ_GOAL = 1.5  # the image is read too
ARCHIVE_GOAL = 1.1
BMAPTOOL_GOAL = 1.0
MEMORY_GOAL_MIB = 64
ARCHIVE_PART = 4  # an archive's image is so much smaller: xz takes a while

Rounds = dict[str, list[float]]


def main() -> int:
    """Measure and print the table; return 1 if a goal was missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size-mib", type=int, default=1024, help="of the raw images")
    parser.add_argument("--repeats", type=int, default=3, help="how many rounds count")
    parser.add_argument("--folder", type=Path, help="where image and disk lie: on a disk, not in memory")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that no loop device stays
    with tempfile.TemporaryDirectory(prefix="hil-bench-", dir=options.folder) as name:
        folder = Path(name)
        with device(folder, (options.size_mib + 16) * MIB) as disk:
            say(f"{options.size_mib} MiB to {disk}")
            bench = _Bench(folder, disk, options.size_mib * MIB)
            for _ in range(options.repeats):
                bench.round()
        return show(bench.rows())


class _Bench:
    """What was measured so far, in seconds by name, and the memory that hil took."""

    def __init__(self, folder: Path, disk: Path, size_bytes: int) -> None:
        self._disk = disk
        self._dense = flash_images.dense(folder, size_bytes)
        self._quarter = flash_images.quarter(folder, size_bytes)
        self._holes = folder / "without-its-map.img"
        self._holes.hardlink_to(self._quarter)
        self._archives = flash_images.compressed(folder, size_bytes // ARCHIVE_PART)
        self._bmaptool = shutil.which("bmaptool")
        self._seconds: Rounds = defaultdict(list)
        self._memory_bytes = 0

    def round(self) -> None:
        """Measure everything once."""
        whole = ["bs=4M", "oflag=direct", "conv=fsync,notrunc"]
        self._run("dd", ["dd", f"if={self._dense}", f"of={self._disk}", *whole])
        self._flash("dense", self._dense, force=True)
        self._run("dd, reading", ["dd", f"if={self._disk}", "of=/dev/null", "bs=4M", "iflag=direct"])
        self._flash("unchanged", self._dense, force=False)
        self._run("dd again", ["dd", f"if={self._dense}", f"of={self._disk}", *whole])
        self._flash("quarter", self._quarter, force=True)
        self._run("dd, third time", ["dd", f"if={self._dense}", f"of={self._disk}", *whole])
        self._flash("holes", self._holes, force=True)
        if self._bmaptool:
            self._run("bmaptool", [self._bmaptool, "copy", "--nobmap", self._dense, self._disk])
            bmap = self._quarter.with_suffix(".bmap")
            self._run(
                "bmaptool, quarter", [self._bmaptool, "copy", "--bmap", bmap, self._quarter, self._disk]
            )
        for name, archive in self._archives.items():
            self._run(f"{name} -dc", [name, "-dc", archive])
            self._seconds[f"{name} in Python"].append(unpacking_s(archive))
            self._flash(name, archive, force=True)

    def rows(self) -> Iterator[Row]:
        """The table, and what has no ratio."""
        peak, bare = self._memory_bytes / MIB, bare_memory_bytes() / MIB
        yield from rows(self._ratios())
        yield from ((line, None) for line in self._proofs())
        if not self._bmaptool:
            yield "bmaptool is not installed (Debian: bmap-tools): not compared", None
        memory = f"peak memory {peak:.1f} MiB, of which a bare interpreter {bare:.1f} MiB"
        yield f"{memory}; goal {MEMORY_GOAL_MIB} MiB", peak <= MEMORY_GOAL_MIB

    def _ratios(self) -> list[Ratio]:
        at = self._seconds
        ratios = [
            self._ratio("dense: write / dd", "dd", "dense", DENSE_GOAL),
            self._ratio("a quarter mapped: write / dd of all", "dd again", "quarter", QUARTER_GOAL),
            self._ratio("a quarter, the rest zeros: write / dd", "dd, third time", "holes", HOLES_GOAL),
            self._ratio("unchanged, no program had the stick / dd", "dd", "dense, again", UNCHANGED_GOAL),
            self._ratio("unchanged, all read / dd reading", "dd, reading", "unchanged, all", READ_GOAL),
        ]
        for name in self._archives:
            pairs = zip(at[f"{name} in Python"], at["dd"], strict=True)
            slower = [max(unpacking, all_of_it / ARCHIVE_PART) for unpacking, all_of_it in pairs]
            pairs = zip(slower, at[name], strict=True)
            ratios.append(Ratio.of(f"{name}: write / the slower of that and dd", pairs, ARCHIVE_GOAL))
        if self._bmaptool:
            ratios += [
                self._ratio("dense: write / bmaptool", "bmaptool", "dense", BMAPTOOL_GOAL),
                self._ratio("quarter: write / bmaptool", "bmaptool, quarter", "quarter", BMAPTOOL_GOAL),
            ]
        return ratios

    def _ratio(self, name: str, bare: str, ours: str, goal: float) -> Ratio:
        return Ratio.of(name, zip(self._seconds[bare], self._seconds[ours], strict=True), goal)

    def _proofs(self) -> list[str]:
        """What it costs to prove the images, which nothing else does."""
        reading = self._median_s("dd, reading")
        return [
            f"dd reads the disk in {reading:.2f} s: no proof of a whole stick takes less",
            *(
                f"{name}: read back in {self._median_s(f'{name}, verify'):.2f} s,"
                f" all of it {self._median_s(f'{name}, all'):.2f} s"
                for name in ("dense", "quarter", *self._archives)
            ),
            *(
                f"{name}: Python's library unpacks it in {self._median_s(f'{name} in Python'):.2f} s,"
                f" {name} -dc in {self._median_s(f'{name} -dc'):.2f} s"
                for name in self._archives
            ),
        ]

    def _median_s(self, name: str) -> float:
        return statistics.median(self._seconds[name])

    def _run(self, name: str, command: list[Any]) -> None:
        began = time.monotonic()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self._seconds[name].append(time.monotonic() - began)

    def _flash(self, name: str, image: Path, *, force: bool) -> None:
        told = flash(image, self._disk, force=force)
        self._seconds[f"{name}, all"].append(told["flash_s"])
        self._seconds[name].append(told["write_s"])
        self._seconds[f"{name}, again"].append(told["again_s"])
        self._seconds[f"{name}, verify"].append(told["verify_s"])
        self._memory_bytes = max(self._memory_bytes, told["memory_bytes"])


if __name__ == "__main__":
    sys.exit(main())
