"""Which disk is called the stick, and what is never called so: with hands that plug disks in and out."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from hil import errors
from hil.dutlink import timing
from hil.dutlink.storage.mux_timing import NOT_TIMED_S, Arrival
from hil.dutlink.storage.stick_memory import LearnedSocket
from hil.dutlink.storage.usb_sockets import StickNames, UsbDisk, connected_s
from hil.flash.progress import NoProgress
from hil.sim.dut.image import build_image
from hil.sim.stick.usb_disk import usb_names_of
from tests.no_hardware.dutlink.storage.mux_bench import MIB, MuxBench

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[MuxBench]:
    bench = MuxBench(tmp_path / "bench", monkeypatch)
    yield bench
    assert bench.changed_bytes() == 0
    bench.close()


@pytest.fixture
def image(tmp_path: Path) -> Path:
    path = tmp_path / "image.img"
    build_image(path, "following", 2 * MIB)
    return path


def node_of(bench: MuxBench, index: int = 0) -> Path:
    return bench.sticks[index]._node.path


def test_unknown_stick_is_proven_by_coming_going_and_coming(bench: MuxBench) -> None:
    storage = bench.storage()
    storage.host()

    node = storage.wait_for_node()

    assert node.resolve() == node_of(bench)
    assert bench.links[0].sent == ["off", "host", "off", "host"]


def test_known_stick_needs_no_second_arrival(bench: MuxBench) -> None:
    bench.storage().wait_for_node()
    again = bench.storage()
    bench.links[0].sent.clear()

    assert again.wait_for_node().resolve() == node_of(bench)

    assert bench.links[0].sent == ["off", "host"]


def test_search_that_was_left_alone_lets_other_boards_learn_after_a_while(bench: MuxBench) -> None:
    storage = bench.storage()
    storage.host()
    was_awaited = storage.is_awaited

    bench.clock.advance(20)

    assert (was_awaited, storage.is_awaited) == (True, False)


def test_pace_that_a_stopped_thread_saw_is_not_kept(bench: MuxBench, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(timing.time, "sleep", lambda _seconds: bench.time.sleep(1.7))
        bench.storage().wait_for_node()
    kept_s = [bench.kept[bench.links[0].serial].came_after_s]
    for _ in range(2):
        bench.storage().wait_for_node()
        kept_s.append(bench.kept[bench.links[0].serial].came_after_s)

    assert kept_s[0] == NOT_TIMED_S
    assert kept_s[1] == kept_s[2] > NOT_TIMED_S


def test_known_stick_that_a_stopped_thread_sees_come_must_follow_the_mux(
    bench: MuxBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.storage().wait_for_node()
    known = bench.storage()
    known.host()
    bench.links[0].sent.clear()
    bench.time.sleep(2.2)
    stopped = iter([1.5])
    sleep = bench.time.sleep
    monkeypatch.setattr(timing.time, "sleep", lambda seconds: sleep(next(stopped, seconds)))

    known.wait_for_node()

    assert bench.links[0].sent == ["off", "host"]


def test_host_long_after_off_waits_for_no_disk_to_leave(bench: MuxBench) -> None:
    bench.strangers[0].plug("2-9", "ZZ99")
    storage = bench.storage()
    storage.off()
    bench.clock.advance(5)
    began_s = bench.clock.now()

    storage.host()

    assert bench.clock.now() - began_s < 0.5


def test_watch_looks_on_for_less_time_where_simulated_time_is_faster(bench: MuxBench) -> None:
    def waited_s(slowest_s: float) -> float:
        storage = bench.storage(slowest_s=slowest_s)
        storage.host()
        began_s = bench.clock.now()
        storage.wait_for_node()
        return bench.clock.now() - began_s

    first_s, known_s = waited_s(8.0), waited_s(8.0)
    bench.kept.clear()
    quick_first_s, quick_known_s = waited_s(0.16), waited_s(0.16)

    assert quick_first_s < first_s - 8.0
    assert quick_known_s < known_s - 0.3


@pytest.mark.parametrize("learned", [False, True])
def test_wait_for_node_path_leads_to_no_disk_that_takes_the_name_later(
    bench: MuxBench, *, learned: bool
) -> None:
    if learned:
        bench.storage().wait_for_node()
    node = bench.storage().wait_for_node()
    bench.strangers[0].plug("2-9", "AB00")
    bench.clock.advance(1)

    assert (bench.dev.disk_name("AB00").resolve() == node_of(bench), node.resolve()) == (
        False,
        node_of(bench),
    )


@pytest.mark.parametrize("delay_s", [0.2, 1.0, 2.7, 3.6, 6.0])
@pytest.mark.parametrize("late_s", [0.0, 3.5])
def test_another_disk_that_comes_with_the_stick_is_not_proven(
    bench: MuxBench, image: Path, delay_s: float, late_s: float
) -> None:
    bench.sticks[0].late_s = late_s
    storage = bench.storage()
    storage.off()
    bench.after(0.5 + delay_s, bench.strangers[0].plug, "2-9", "ZZ99")

    flashed = storage.flash(image)

    assert (flashed.node.resolve(), flashed.was_written) == (node_of(bench), True)


@pytest.mark.parametrize("delay_s", [0.2, 1.0, 2.7])
def test_another_disk_is_not_proven_if_no_stick_comes(bench: MuxBench, delay_s: float) -> None:
    bench.sticks[0].faults.missing = True
    storage = bench.storage()
    storage.host()
    bench.after(delay_s, bench.strangers[0].plug, "2-9", "ZZ99")

    with pytest.raises(errors.StickMissingError):
        storage.wait_for_node()

    assert storage.node is None


def test_another_disk_that_goes_and_comes_at_other_times_is_not_proven(bench: MuxBench) -> None:
    """It comes with *host*, is pulled out with *off*, and plugged in again, but too late."""
    bench.sticks[0].faults.missing = True
    storage, stranger = bench.storage(), bench.strangers[0]
    storage.host()
    bench.after(1.0, stranger.plug, "2-9", "ZZ99")
    bench.after(2.0, stranger.unplug)
    bench.after(6.0, stranger.plug, "2-9", "ZZ99")

    with pytest.raises(errors.StickMissingError):
        storage.wait_for_node()


class Imitator:
    """A hand that does as a mux does, but for the times that a test gives it; no stick comes."""

    def __init__(self, bench: MuxBench, comes_s: list[float], leaves_s: float = 0.3) -> None:
        self._bench = bench
        self._comes_s = comes_s
        self._leaves_s = leaves_s
        bench.sticks[0].faults.missing = True
        bench.links[0].on_turn.append(self._turned)

    def _turned(self, position: str) -> None:
        stranger = self._bench.strangers[0]
        if position == "off":
            self._bench.after(self._leaves_s, stranger.unplug)
            comes_s = min(0.0, self._comes_s[0])
            if comes_s:  # the mux turns to the host some 0.3 s after the disk is gone
                self._bench.after(self._leaves_s + 0.3 + comes_s, stranger.plug, "2-9", "ZZ99")
        elif self._comes_s[0] >= 0:
            self._bench.after(self._comes_s[0], stranger.plug, "2-9", "ZZ99")
            self._comes_s.append(self._comes_s.pop(0))


@pytest.mark.parametrize(
    ("comes_s", "leaves_s"),
    [
        pytest.param([1.0], 1.6, id="leaves late"),
        pytest.param([10.0], 3.0, id="leaves late and comes slowly"),
        pytest.param([1.0, 4.0], 0.3, id="comes unevenly"),
        pytest.param([8.0, 11.0], 0.3, id="comes slowly and unevenly"),
        pytest.param([-0.2], 0.3, id="is plugged in before the mux turns"),
    ],
)
def test_prove_refuses_a_disk_with_other_times_than_a_mux(
    bench: MuxBench, image: Path, comes_s: list[float], leaves_s: float
) -> None:
    Imitator(bench, comes_s, leaves_s)

    with pytest.raises((errors.StickAmbiguousError, errors.StickMissingError)):
        bench.storage().wait_for_node()
    with pytest.raises(errors.StorageError):
        bench.storage().flash(image)


def test_prove_refuses_a_disk_with_a_mux_s_times_while_the_stick_is_there(bench: MuxBench) -> None:
    Imitator(bench, [1.0])
    bench.sticks[0].faults.missing = False
    bench.sticks[0].late_s = 3.5  # it comes last of all sticks, long after the hand's disk

    with pytest.raises(errors.StickAmbiguousError):
        bench.storage().wait_for_node()


def coming(after_s: float, connected_after_s: float | None = None, serial: str = "AB00") -> Arrival:
    return Arrival(
        UsbDisk("2-1", "5", StickNames("1209", "0001", serial, MIB), ()), after_s, connected_after_s
    )


@pytest.mark.parametrize(
    ("before", "now", "rounds"),
    [
        (coming(3.5), coming(3.6), 1),
        (coming(7.2), coming(7.7), 1),
        (coming(3.5), coming(3.6, serial="AB01"), 0),
        (coming(3.5), coming(4.5), 3),
        (coming(3.5), coming(5.2), 0),
        (coming(10.5), coming(12.5), 0),
        (coming(10.5), coming(10.5), 2),
        (coming(3.5, 1.0), coming(4.5, 1.1), 1),
        (coming(9.0, 1.0), coming(25.0, 1.1), 1),
        (coming(3.5, 1.0), coming(3.5, 1.5), 3),
        (coming(1.2, 0.1), coming(1.2, 0.1), 2),
        (coming(1.2, -0.1), coming(1.5, 0.15), 2),
    ],
)
def test_rounds_after_returns_how_many_rounds_prove_a_disk(
    before: Arrival, now: Arrival, rounds: int
) -> None:
    assert now.rounds_after(before) == rounds


def test_slow_stick_is_proven_by_one_more_round(bench: MuxBench) -> None:
    bench.sticks[0].late_s = 7.0

    assert bench.storage().wait_for_node().resolve() == node_of(bench)

    assert bench.comings() == 3


def test_connected_s_reads_the_kernel_s_duration(tmp_path: Path) -> None:
    power = tmp_path / "bus/usb/devices/2-9/power"
    power.mkdir(parents=True)
    before = connected_s(tmp_path, "2-9")
    (power / "connected_duration").write_text("1250\n")

    assert (before, connected_s(tmp_path, "2-9")) == (None, 1.25)


def learned_both(bench: MuxBench) -> None:
    for index in (0, 1):
        storage = bench.storage(index)
        storage.wait_for_node()
        storage.off()
        bench.clock.advance(2)


@pytest.mark.parametrize("stagger_s", [0.0, 0.6, 1.5, 3.0])
@pytest.mark.parametrize("kind", ["sockets", "boards", "namesakes"])
def test_flash_after_a_swap_of_cables_writes_to_no_other_board_s_stick(
    bench: MuxBench, image: Path, stagger_s: float, kind: str
) -> None:
    """The sticks stay at their sockets, or in their boards; or both call themselves the same."""
    if kind == "namesakes":
        bench.sticks[1]._node.listing._names = usb_names_of("AB00")  # type: ignore[attr-defined]
    learned_both(bench)
    before = [stick._file.path.read_bytes() for stick in bench.sticks]
    bench.swap(with_names=kind == "boards")
    failed: list[str] = []

    def flash(index: int) -> None:
        bench.time.sleep(0.1 + index * stagger_s)
        try:
            bench.storage(index).flash(image, force=True)
        except errors.StorageError as error:
            failed.append(type(error).__name__)

    bench.time.play(lambda: flash(0), lambda: flash(1))

    assert len(failed) == 2
    assert [stick._file.path.read_bytes() for stick in bench.sticks] == before


@pytest.mark.parametrize("late_s", [(0.0, 3.5), (0.0, 0.0), (3.5, 0.0)])
@pytest.mark.parametrize("swapped_after_s", [0.2, pytest.param(1.6, marks=pytest.mark.thorough)])
def test_flash_finds_a_swap_of_cables_during_the_flash(
    bench: MuxBench, image: Path, swapped_after_s: float, late_s: tuple[float, float]
) -> None:
    """Both muxes are at the host: just after *host*, the stick comes as it was learned, by the other one.

    Only the disk that this mux brings now gives that away, unless it comes later or earlier.
    """
    bench.sticks[0].late_s = late_s[0]
    learned_both(bench)
    other = bench.storage(1)
    other.wait_for_node()
    bench.sticks[1].late_s = late_s[1]
    before = [stick._file.path.read_bytes() for stick in bench.sticks]
    swaps: list[float] = []

    def swap(position: str) -> None:
        if position == "host" and not swaps:
            swaps.append(swapped_after_s)
            bench.after(swapped_after_s, bench.swap)

    bench.links[0].on_turn.append(swap)

    with pytest.raises(errors.StorageError) as caught:
        bench.storage(0).flash(image, force=True)

    was_written = [stick._file.path.read_bytes() for stick in bench.sticks] != before
    assert was_written == (swapped_after_s < 1 and late_s[0] != late_s[1])  # docs/flash.md: not proven
    assert ("bytes were written to" in str(caught.value)) == was_written
    assert ("nothing was written" in str(caught.value)) == (not was_written)


def test_known_boards_flash_at_once_without_further_arrivals(bench: MuxBench, image: Path) -> None:
    learned_both(bench)
    before = [bench.comings(index) for index in (0, 1)]

    def flash(index: int) -> None:
        bench.storage(index).flash(image, force=True)

    bench.time.play(lambda: flash(0), lambda: flash(1))

    assert [bench.comings(index) - before[index] for index in (0, 1)] == [2, 2]


@pytest.mark.parametrize("with_names", [False, True])
def test_learn_learns_the_sockets_of_two_boards_whose_cables_were_swapped(
    bench: MuxBench, *, with_names: bool
) -> None:
    learned_both(bench)
    for index in (0, 1):
        bench.storage(index).off()
    bench.clock.advance(1)
    bench.swap(with_names=with_names)

    sockets = []
    for index in (0, 1):
        storage = bench.storage(index)
        sockets.append(storage.learn().socket)
        storage.off()

    assert sockets == ["2-2", "2-1"]


def test_another_disk_at_the_learned_socket_is_watched_first(bench: MuxBench, image: Path) -> None:
    bench.storage().flash(image)
    bench.sticks[0].faults.missing = True
    storage = bench.storage()
    storage.off()
    bench.after(3.5, bench.strangers[0].plug, "2-1", "ZZ99")

    with pytest.raises(errors.StorageError):
        storage.flash(image, force=True)


def test_disk_at_another_socket_than_learned_raises_stick_moved_error(bench: MuxBench, image: Path) -> None:
    bench.storage().flash(image)
    bench.sticks[0].faults.missing = True
    storage = bench.storage()
    bench.after(3.5, bench.strangers[0].plug, "2-9", "AB00")

    with pytest.raises(errors.StickMovedError, match="2-1, where it was learned") as caught:
        storage.flash(image)

    assert "hil storage learn" in caught.value.remedy
    assert "2-9" in caught.value.why


def test_learn_finds_a_stick_that_is_cabled_to_another_socket(bench: MuxBench) -> None:
    bench.kept[bench.links[0].serial] = LearnedSocket(
        "1-1", "2-7", StickNames("1209", "0001", "AB00", 1), 3.5
    )

    disk = bench.storage().learn()

    assert (disk.socket, bench.kept[bench.links[0].serial].socket) == ("2-1", "2-1")


def test_learned_socket_counts_only_while_the_board_is_at_its_port(bench: MuxBench) -> None:
    bench.storage().wait_for_node()
    bench.links[0].usb_port = "1-7"
    bench.links[0].sent.clear()

    bench.storage().wait_for_node()

    assert bench.comings() == 2
    assert bench.kept[bench.links[0].serial].board == "1-7"


def test_another_stick_at_the_socket_is_learned_by_one_more_arrival(bench: MuxBench) -> None:
    bench.storage().wait_for_node()
    known = bench.kept[bench.links[0].serial]
    bench.kept[bench.links[0].serial] = LearnedSocket(
        known.board, known.socket, known.names._replace(serial="OLD"), known.came_after_s
    )
    bench.links[0].sent.clear()

    bench.storage().wait_for_node()

    assert bench.comings() == 2
    assert bench.kept[bench.links[0].serial].names.serial == "AB00"


def test_disk_that_stays_at_the_socket_is_not_the_stick(bench: MuxBench, image: Path) -> None:
    bench.storage().wait_for_node()
    storage = bench.storage()
    storage.off()
    bench.clock.advance(2)
    bench.sticks[0].faults.missing = True
    bench.strangers[0].plug("2-1", "AB00")
    bench.clock.advance(2)

    with pytest.raises(errors.WrongDiskError, match="still there"):
        storage.flash(image)


def test_two_boards_learn_at_once_each_its_own_stick(bench: MuxBench) -> None:
    found: dict[int, Path] = {}

    def look(index: int) -> None:
        found[index] = bench.storage(index).wait_for_node().resolve()

    bench.time.play(lambda: look(0), lambda: look(1))

    assert found == {0: node_of(bench, 0), 1: node_of(bench, 1)}


def test_known_board_flashes_while_another_board_learns(bench: MuxBench, image: Path) -> None:
    bench.storage(0).wait_for_node()
    bench.storage(0).off()
    bench.clock.advance(2)
    found: list[Path] = []

    def flash() -> None:
        for _ in range(3):
            bench.storage(0).flash(image, force=True)

    def learn() -> None:
        found.append(bench.storage(1).wait_for_node().resolve())

    bench.time.play(flash, learn)

    assert found == [node_of(bench, 1)]
    assert bench.comings(1) == 2


def test_sticks_with_equal_names_differ_by_their_sockets(bench: MuxBench) -> None:
    bench.strangers[0].plug("2-9", "AB00")
    bench.clock.advance(2)

    storage = bench.storage()
    node = storage.wait_for_node()

    assert (node.resolve(), storage.node) == (node_of(bench), node_of(bench))


def test_socket_of_an_unplugged_board_is_free(bench: MuxBench) -> None:
    bench.kept["00000000"] = LearnedSocket("1-9", "2-1", StickNames("", "", "", 0), 3.5)

    assert bench.storage().wait_for_node().resolve() == node_of(bench)


def test_wired_path_that_leads_to_another_disk_raises_wrong_disk_error(bench: MuxBench) -> None:
    bench.strangers[0].plug("2-9", "ZZ99")
    bench.clock.advance(2)
    wired = bench.dev.root / "disk/by-id/usb-HIL_Simulated_Stick_ZZ99-0:0"

    with pytest.raises(errors.StorageError):
        bench.storage(0, wired).wait_for_node()


def test_first_flash_takes_one_more_arrival_and_later_ones_none(bench: MuxBench, image: Path) -> None:
    bench.storage().flash(image, force=True)
    first = bench.comings()

    bench.storage().flash(image, force=True)

    assert (first, bench.comings() - first) == (3, 2)


@pytest.mark.parametrize("verb", ["off", "dut", "host", "learn"])
def test_off_refuses_a_stick_that_is_open_on_this_host(bench: MuxBench, verb: str) -> None:
    node = bench.storage().wait_for_node()
    with node.open("rb"):
        with pytest.raises(errors.StickInUseError, match="is open in process"):
            getattr(bench.storage(), verb)()
        assert node_of(bench).exists()


@pytest.mark.parametrize("verb", ["off", "dut"])
def test_off_with_force_detaches_a_stick_in_use(bench: MuxBench, verb: str) -> None:
    node = bench.storage().wait_for_node()
    storage = bench.storage()
    with node.open("rb"):
        getattr(storage, verb)(force=True)

    assert "is open in process" in storage.taken_from
    assert storage.position == verb


def plugged_in(bench: MuxBench) -> Path:
    """A stranger's disk, and its node."""
    bench.strangers[0].plug("2-9", "ZZ99")
    bench.clock.advance(2)
    node: Path = bench.strangers[0]._node.path  # type: ignore[union-attr]
    return node


@pytest.mark.parametrize("verb", ["off", "dut", "host", "learn"])
def test_off_error_says_that_a_disk_in_use_may_be_the_stick(bench: MuxBench, verb: str) -> None:
    with plugged_in(bench).open("rb"), pytest.raises(errors.StickInUseError) as caught:
        getattr(bench.storage(), verb)()

    assert "a disk that may be the stick" in caught.value.what
    assert "is open in process" in caught.value.why
    assert "not known here yet" in caught.value.why
    assert f"hil storage learn --force --board {bench.links[0].serial}" in caught.value.remedy
    assert bench.links[0].sent == []


def test_off_ignores_a_disk_in_use_after_learn_was_forced(bench: MuxBench, image: Path) -> None:
    with plugged_in(bench).open("rb"):
        disk = bench.storage().learn(force=True)
        bench.storage().off()
        flashed = bench.storage().flash(image)

    assert (disk.socket, flashed.node.resolve()) == ("2-1", node_of(bench))


def test_learn_that_is_refused_forgets_nothing(bench: MuxBench) -> None:
    bench.storage().wait_for_node()
    bench.storage().dut()
    bench.clock.advance(2)
    known = dict(bench.kept)
    with plugged_in(bench).open("rb"), pytest.raises(errors.StickInUseError):
        bench.storage().learn()

    assert bench.kept == known


def test_learn_works_with_another_disk_in_use_if_the_stick_is_known(
    bench: MuxBench,
) -> None:
    bench.storage().wait_for_node()
    with plugged_in(bench).open("rb"):
        assert bench.storage().learn().socket == "2-1"


def test_off_ignores_a_disk_that_was_there_while_the_storage_was_off(bench: MuxBench) -> None:
    bench.sticks[0].faults.missing = True
    storage = bench.storage()
    storage.off()
    with plugged_in(bench).open("rb"):
        storage.host()
        storage.off()

    assert bench.links[0].sent == ["off", "host", "off"]


def test_off_checks_only_the_proven_stick_if_nothing_is_remembered(bench: MuxBench) -> None:
    storage = bench.storage(remembers=False)
    storage.wait_for_node()
    storage._stick.forget()
    storage.wait_for_node()
    with plugged_in(bench).open("rb"):
        storage.off()

    assert storage.position == "off"


class At(NoProgress):
    """Lets something happen when a phase begins."""

    def __init__(self, phase: str, act: Callable[[], object]) -> None:
        self._phase, self._act = phase, act

    def begin(self, phase: str, _total_bytes: int | None) -> None:
        if phase == self._phase:
            self._act()


def test_flash_error_says_that_the_mux_stays_because_the_stick_is_in_use(
    bench: MuxBench, image: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        monkeypatch.setattr(
            "hil.dutlink.storage.stick_mux.user_of", lambda *_: "sda1 is mounted at /media/hers"
        )
        raise errors.WrongDiskError("it is mounted", why="sda1 is mounted at /media/hers")

    def mount_what_comes_next() -> None:
        monkeypatch.setattr("hil.dutlink.storage.storage.open_verified", refuse)

    storage = bench.storage()

    with pytest.raises(errors.WrongDiskError) as caught:
        storage.flash(image, force=True, progress=At("write", mount_what_comes_next))

    assert "; the mux stays as it is, since sda1 is mounted at /media/hers" in caught.value.why
    assert storage.position == "host"


def test_flash_error_before_the_first_byte_says_that_nothing_was_written(
    bench: MuxBench, image: Path
) -> None:
    bench.sticks[0].faults.missing = True

    with pytest.raises(errors.StickMissingError) as caught:
        bench.storage().flash(image)

    assert "nothing was written" in str(caught.value)


def test_flash_error_after_the_first_byte_says_how_much_was_written(bench: MuxBench, image: Path) -> None:
    def exchange() -> None:
        bench.sticks[0]._node.listing._names = usb_names_of("CD77")  # type: ignore[attr-defined]

    with pytest.raises(errors.StorageError) as caught:
        bench.storage().flash(image, force=True, progress=At("write", exchange))

    assert re.search(r"up to \d{7} bytes were written to \S+ before that", str(caught.value))
    assert "nothing was written" not in str(caught.value)


def test_turn_by_another_thread_ends_a_wait_for_the_stick(bench: MuxBench) -> None:
    storage = bench.storage()
    storage.host()
    bench.after(3.9, storage.dut)

    with pytest.raises(errors.StorageError):
        storage.wait_for_node()

    assert bench.links[0].sent[-1] == "dut"
