"""Fuzz every target for some minutes: `python tests/fuzz/run.py --minutes 5`, which `nox -s fuzz` starts.

Atheris (libFuzzer) changes inputs so that they reach new lines of hil. What breaks a target is kept in
`found`, and the command that shows it is printed; once it is mended, its input belongs into `corpus`, where a
test plays it. `--keep` adds inputs to the corpus that reached new lines.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from tests.support.harness import say

HERE = Path(__file__).parent
CORPUS, FOUND, GROWN = HERE / "corpus", HERE / "found", HERE / "grown"
MEMORY = "/dev/shm"  # noqa: S108 - it is for a folder of its own
LONGEST_BYTES = 16384
SLOWEST_S = 10
MOST_MIB = 1024
KEPT_BYTES, KEPT_FILES = 2048, 24


def main() -> int:
    """Fuzz, or play one input."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--minutes", type=float, default=5.0, help="for all targets together")
    parser.add_argument("--only", action="append", metavar="TARGET", help="may be repeated")
    parser.add_argument("--keep", action="store_true", help="add to the corpus what reached new lines")
    parser.add_argument("--play", nargs=2, metavar=("TARGET", "FILE"), help="run one input, without atheris")
    parser.add_argument("--child", nargs=argparse.REMAINDER, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.child:
        return _child(*asked.child)
    from tests.fuzz.targets import TARGETS  # noqa: PLC0415 - a child instruments it first

    if asked.play:
        TARGETS[asked.play[0]](Path(asked.play[1]).read_bytes())
        return 0
    names = asked.only or list(TARGETS)
    jobs = min(len(names), os.cpu_count() or 1)
    seconds = max(1, round(asked.minutes * 60 * jobs / len(names)))
    say(f"{len(names)} targets, {jobs} at a time, {seconds} s each")
    with ThreadPoolExecutor(jobs) as pool:
        failed = [name for name in pool.map(lambda name: _fuzz(name, seconds), names) if name]
    if asked.keep:
        for name in names:
            _keep(name)
    say(
        f"{len(failed)} of {len(names)} targets failed: {', '.join(failed)}"
        if failed
        else "nothing was found"
    )
    return int(bool(failed))


def _fuzz(name: str, seconds: int) -> str:
    """Fuzz a target in a process of its own; return its name if something was found."""
    for folder in (FOUND, CORPUS / name, GROWN / name):
        folder.mkdir(parents=True, exist_ok=True)
    log = FOUND / f"{name}.log"
    options = (f"-max_total_time={seconds}", f"-timeout={SLOWEST_S}", f"-rss_limit_mb={MOST_MIB}")
    more = (f"-max_len={LONGEST_BYTES}", f"-artifact_prefix={FOUND}/{name}-", "-print_final_stats=1")
    command = [sys.executable, str(HERE / "run.py"), "--child", name, *options, *more]
    with log.open("wb") as told, tempfile.TemporaryDirectory(dir=_memory()) as folder:
        done = subprocess.run(
            [*command, str(GROWN / name), str(CORPUS / name)],
            stdout=told,
            stderr=told,
            check=False,
            env={**os.environ, "TMPDIR": folder},  # libFuzzer ends without tidying up
        )
    said = log.read_text(errors="replace").splitlines()
    runs = next((line.split()[-1] for line in said if "number_of_executed_units" in line), "?")
    say(f"{name}: {runs} inputs, {'ok' if not done.returncode else f'status {done.returncode}'}")
    if not done.returncode:
        log.unlink()
        return ""
    written = [line.split()[-1] for line in said if "Test unit written to" in line]
    plays = (f"  python tests/fuzz/run.py --play {name} {path}" for path in written)
    say("\n".join((*said[-40:], *plays)))
    return name


def _memory() -> str | None:
    """Return a folder in memory, where there is one: most inputs are files for a moment."""
    return MEMORY if os.access(MEMORY, os.W_OK) else None


def _child(name: str, *options: str) -> int:
    import atheris  # type: ignore[import-not-found]  # noqa: PLC0415 - for the session alone

    with atheris.instrument_imports(include=["hil"]):
        from tests.fuzz.targets import TARGETS  # noqa: PLC0415 - instrumented

    act: Any = TARGETS[name]
    atheris.Setup([sys.argv[0], *options], act)
    atheris.Fuzz()
    return 0


def _keep(name: str) -> None:
    """Add small inputs that reached new lines, from the smallest to the largest."""
    small = sorted((one for one in (GROWN / name).iterdir() if one.stat().st_size <= KEPT_BYTES), key=_size)
    for one in small[:: -(-len(small) // KEPT_FILES) or 1]:
        (CORPUS / name / one.name[:16]).write_bytes(one.read_bytes())


def _size(path: Path) -> int:
    return path.stat().st_size


if __name__ == "__main__":
    sys.exit(main())
