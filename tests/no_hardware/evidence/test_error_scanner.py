"""The error scanner finds kernel panics and the like, however the bytes arrive."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hil.dutlink.console.transcript import Chunk
from hil.evidence.error_scanner import KNOWN, ErrorScanner

PANIC = b"Kernel panic - not syncing: VFS"
BETWEEN = st.sampled_from(
    [
        b"\0",
        b"\r",
        b"\x1b[31m",
        b"\x1b[0;1m",
        b"\x07",
        b"\x1b]0;title\x07",
        b"\x1b(B",
        b"\x7f",
        b"\x1b[K",
        b"",
    ]
)
NOISE = st.one_of(
    st.binary(max_size=20),
    st.sampled_from([b"\r\n", b"\n", b"\xff\xc3", b"\x1b[2J", b"login: ", b"\x1b]0;", b"\x1b[", b"\x1b"]),
)


def watched(pieces: list[bytes], more: tuple[str, ...] = (), start: int = 0) -> ErrorScanner:
    watch, position = ErrorScanner(more), start
    for piece in pieces:
        watch.feed(Chunk(1.0, 2.0, piece, position))
        position += len(piece)
    watch.scan()
    return watch


def names(*pieces: bytes, more: tuple[str, ...] = ()) -> list[str]:
    return [finding.name for finding in watched(list(pieces), more).findings]


@pytest.mark.parametrize(
    ("line", "name"),
    [
        (b"[    1.2] Kernel panic - not syncing: Attempted to kill init!", "kernel panic"),
        (b"---[ end Kernel panic - not syncing: x ]---", "kernel panic"),
        (b"Internal error: Oops: 96000004 [#1] PREEMPT SMP", "oops"),
        (b"Oops: 0000 [#1] SMP", "oops"),
        (b"Unable to handle kernel NULL pointer dereference at virtual address 0", "oops"),
        (b"BUG: unable to handle page fault for address: ffff", "BUG"),
        (b"watchdog: BUG: soft lockup - CPU#0 stuck for 22s!", "BUG"),
        (b"kernel BUG at mm/slub.c:4023!", "BUG"),
        (b"Out of memory: Killed process 123 (stress)", "out of memory"),
        (b"Memory cgroup out of memory: Killed process 7 (x)", "out of memory"),
        (b"stress invoked oom-killer: gfp_mask=0x1", "out of memory"),
        (b"Reset cause: WDOG", "watchdog reset"),
        (b"reset reason: watchdog", "watchdog reset"),
        (b"watchdog reset", "watchdog reset"),
        (b"NMI watchdog: Watchdog detected hard LOCKUP on cpu 1", "watchdog reset"),
        (b"rst:0x8 (TG1WDT_SYS_RESET),boot:0x13", "watchdog reset"),
        (b"RESET: watchdog", "watchdog reset"),
        (b"systemd[1]: Rebooting due to watchdog", "watchdog reset"),
        (b"PMIC: boot reason: WDT_RESET", "watchdog reset"),
        (b"EXT4-fs error (device sda2)", "EXT4-fs error"),
    ],
)
def test_error_scanner_finds_known_errors(line: bytes, name: str) -> None:
    assert name in names(line + b"\r\n", more=("EXT4-fs error",))


@pytest.mark.parametrize(
    "line",
    [
        b"DEBUG: all is well",
        b"Kernel command line: panic=10 oops=panic",
        b"imx2-wdt 30280000.watchdog: timeout 60 sec (nowayout=0)",
        b"systemd[1]: Using hardware watchdog 'x', with a timeout of 30s",
        b"watchdog: watchdog0: watchdog did not stop!",
        b"softdog: initialized. soft_reboot_cmd=<not set> soft_active_on_boot=0",
        b"WDT:   Started watchdog@30280000 with servicing (60s timeout)",
        b"bug report: none",
    ],
)
def test_error_scanner_ignores_healthy_output(line: bytes) -> None:
    assert names(line + b"\r\n") == []


def test_error_scanner_hints_are_in_every_match() -> None:
    assert {kind.name for kind in ErrorScanner()._kinds if kind.hints} == set(KNOWN)


def test_error_scanner_reports_a_line_once_with_its_position() -> None:
    watch = watched([b"# ", b"Kernel pa", b"nic - x", b" and more\r\nnext\r\n", b"Kernel panic again\n"])

    assert [(f.position, f.line) for f in watch.findings] == [
        (2, "# Kernel panic - x and more"),
        (35, "Kernel panic again"),
    ]


def test_error_scanner_scans_an_incomplete_line() -> None:
    watch = ErrorScanner()
    watch.feed(Chunk(1.0, 2.0, b"Kernel panic", 0))
    assert watch.findings == []

    watch.scan()
    watch.scan()

    assert [finding.line for finding in watch.take_findings()] == ["Kernel panic"]
    assert watch.take_findings() == []


def test_error_scanner_position_counts_dropped_bytes() -> None:
    watch = watched([b"\x1b[31m\x07ab\x1b[0mKernel\x1b[1m panic\n"], start=100)

    assert watch.findings[0].position == 100 + len(b"\x1b[31m\x07ab\x1b[0m")


def test_error_scanner_positions_of_coloured_lines_are_exact() -> None:
    line = b"\x1b[31mKernel \x1b[1mpanic\x1b[0m\r\n"
    watch = watched([line * 500])

    assert [finding.position for finding in watch.findings] == [
        number * len(line) + len(b"\x1b[31m") for number in range(500)
    ]


def test_error_scanner_does_not_match_across_a_gap() -> None:
    watch = ErrorScanner()
    watch.feed(Chunk(1.0, 2.0, b"Kernel ", 0))
    watch.feed(Chunk(1.0, 2.0, b"panic\n", 500))
    watch.scan()

    assert watch.findings == []


def test_error_scanner_needs_bounded_memory_for_an_endless_line() -> None:
    watch = watched([b"x" * 4000] * 100 + [b"Kernel pa", b"nic"] + [b"y" * 4000] * 100)

    assert [finding.name for finding in watch.findings] == ["kernel panic"]
    assert len(watch._pending) < 30_000


def test_error_scanner_takes_a_colour_as_a_word_end() -> None:
    assert names(b"3.2 s\x1b[31mOops\x1b[0mand so on\n") == ["oops"]


def test_error_scanner_searches_terminal_titles() -> None:
    assert names(b"\x1b]0;Kernel panic\x07\n") == ["kernel panic"]


def hidden(before: list[bytes], between: list[bytes], cuts: list[int]) -> list[bytes]:
    words = [b for at, byte in enumerate(PANIC) for b in (bytes([byte]), between[at % len(between)])]
    stream = b"".join(before) + b"\n" + b"".join(words) + b"\n"
    edges = sorted({0, len(stream), *(cut % len(stream) for cut in cuts)})
    return [stream[begin:end] for begin, end in itertools.pairwise(edges)]


def check_found(before: list[bytes], between: list[bytes], cuts: list[int]) -> None:
    assert "kernel panic" in [f.name for f in watched(hidden(before, between, cuts)).findings]


WAYS = (
    st.lists(NOISE, max_size=4),
    st.lists(BETWEEN, min_size=1, max_size=4),
    st.lists(st.integers(0, 500), max_size=5),
)


@given(*WAYS)
def test_error_scanner_finds_a_panic_in_any_disguise(
    before: list[bytes], between: list[bytes], cuts: list[int]
) -> None:
    check_found(before, between, cuts)


@pytest.mark.thorough
@pytest.mark.timeout(600)
@settings(max_examples=10_000)
@given(*WAYS)
def test_error_scanner_finds_a_panic_in_ten_thousand_streams(
    before: list[bytes], between: list[bytes], cuts: list[int]
) -> None:
    check_found(before, between, cuts)
