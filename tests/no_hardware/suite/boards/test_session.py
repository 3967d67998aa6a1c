"""One board for a worker: what is remembered of a board that cannot be used."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast
from unittest.mock import Mock

import pytest

from hil.boards.acquire_usable import BoardAcquirer
from hil.boards.acquired import AcquiredBoard
from hil.boards.address import parse_boards
from hil.boards.partners import acquire_partners
from hil.boards.place_info import PlaceInfo
from hil.boards.requirements import ANY_BOARD, BoardInfo, BoardRequirement
from hil.boards.search import GLANCE_S, BoardSearch
from hil.dutlink.discovery import ProbeResult
from hil.dutlink.held_boards import held_boards
from hil.dutlink.host import Host
from hil.dutlink.usb.safe_requests import SafeProof
from hil.errors import (
    BoardAbsentError,
    BoardBusyError,
    BoardDeniedError,
    BoardLostError,
    BoardUnsafeError,
    HilError,
    RequestStalledError,
    TransferError,
    TwinBoardsError,
    UsageError,
    Verdict,
)
from hil.suite.boards.preparation import BoardPreparation
from hil.suite.markers import Kind
from hil.suite.options import RunOptions

if TYPE_CHECKING:
    from collections.abc import Callable

    from hil.dutlink.settings import Settings
    from hil.suite.boards.session import BoardSession

SERIAL = "5a1c0e01"
SILENCE_S = 20.0
WAIT_S = 60.0
SILENT = ProbeResult(
    Verdict.LOST, SERIAL, error=BoardLostError("board 5a1c0e01 is silent", remedy="replug it")
)
PRESENT = ProbeResult(Verdict.PRESENT, SERIAL)


class FakeBoard:
    """A board that notes what was done to it."""

    serial = SERIAL
    stored_name = None
    firmware = None
    console = SimpleNamespace(is_open=False)
    storage = SimpleNamespace(check_unused=lambda: None)
    settings = SimpleNamespace()
    safe_requests = SimpleNamespace(read_power=lambda: b"0.00W 5.00V 0.00A")
    busy_s = 0.0
    location = "bus 1 address 2"
    access = SimpleNamespace(serial=SERIAL, end=lambda *_, **__: None)

    def __init__(self) -> None:
        self.done: list[str] = []
        self.error: Exception | None = None
        self.is_answering = False

    def answers(self, limit_s: float) -> bool:
        return self.is_answering and limit_s > 0

    def make_safe(self, **_: object) -> SafeProof:
        self.done.append("made safe")
        if self.error is not None:
            raise self.error
        return SafeProof(SERIAL)

    def is_reachable(self) -> bool:
        return True

    def close(self) -> None:
        self.done.append("closed")


class FakeLease:
    serial = SERIAL
    folder = Path("/nonexistent")
    guard_error = None

    def __init__(self) -> None:
        self.done: list[str] = []

    def set_test(self, test: str) -> None:
        self.done.append(test)

    def follow_board(self) -> None:
        """No lock to take again."""

    def loss(self) -> None:
        """No files that other code could close."""

    raise_if_lost = raise_if_unguarded = loss

    def lend(self, *, ends_borrowers: bool) -> str:
        """No programs to lend it to."""
        assert not ends_borrowers
        return ""

    def end_lending(self) -> None:
        """The same."""

    def lent_turns(self) -> int:
        """No program turned the mux."""
        return 0

    def release(self, position: str = "off") -> None:
        assert position == "off"
        self.done.append("released")

    def release_unused(self) -> None:
        self.done.append("released")

    def abandon(self) -> None:
        self.done.append("left to its guard")


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> Looks:
    looks = Looks()
    for module in ("suite.boards.session", "boards.search", "boards.acquired"):
        monkeypatch.setattr(f"hil.{module}.probe", looks.probe)
    monkeypatch.setattr("hil.boards.search.list_boards", looks.list_boards)
    monkeypatch.setattr("hil.suite.boards.preparation.raise_if_replaced", lambda: None)
    for module in ("boards.search", "boards.lease_and_open"):
        monkeypatch.setattr(f"hil.{module}.open_driver", looks.open_board)
    for module in ("boards.lease_and_open", "lab.safe_state.action"):
        monkeypatch.setattr(f"hil.{module}.make_board_safe", FakeBoard.make_safe)
    return looks


class Looks:
    """What looks find, and how long each was allowed to take."""

    def __init__(self) -> None:
        self.found = PRESENT
        self.limits: list[float] = []
        self.error: Exception | None = None

    def probe(self, _: Host, __: str | None, limit_s: float) -> ProbeResult:
        self.limits.append(limit_s)
        return self.found

    def open_board(self, *_: object, **__: object) -> FakeBoard:
        board = FakeBoard()
        board.error = self.error
        return board

    def list_boards(self, _: Host, __: float) -> list[ProbeResult]:
        return [self.found] if self.found.verdict is Verdict.PRESENT else []


@pytest.fixture
def preparation(looks: Looks) -> BoardPreparation:
    """A process that holds no board yet."""
    options = RunOptions(parse_boards("usb"), require=False, wait_s=WAIT_S, silence_s=SILENCE_S)
    source: Any = SimpleNamespace(
        host=lambda *_: Host(),
        lock_folder=lambda: None,
        note=lambda _test: None,
        return_to_lab=lambda: None,
        safety_of=lambda *_: None,
        wiring_of=lambda *_: None,
        is_remote=False,
    )
    assert looks
    search = BoardSearch(source, options.lab, SILENCE_S)
    of_run: Any = SimpleNamespace(source=source, search=search, fallback=source)
    return BoardPreparation(of_run, options)


@pytest.fixture
def session(preparation: BoardPreparation) -> BoardSession:
    """Its boards."""
    return preparation.session


@pytest.fixture
def held(session: BoardSession) -> AcquiredBoard:
    """The board that the session holds."""
    board: Any = FakeBoard()
    lease: Any = FakeLease()
    session.held = AcquiredBoard(board, lease, Host(), simulated=False)
    return session.held


def done_to(fake: Any) -> list[str]:
    done: list[str] = fake.done
    return done


def test_probe_waits_the_whole_time_for_a_silent_board_first(
    session: BoardSession, held: AcquiredBoard, looks: Looks
) -> None:
    looks.found = SILENT

    result = session.probe()

    assert (result.verdict, looks.limits, held.lost is None) == (Verdict.LOST, [SILENCE_S], False)


def test_probe_does_not_wait_for_a_lost_board_again(
    preparation: BoardPreparation, session: BoardSession, held: AcquiredBoard, looks: Looks
) -> None:
    looks.found = SILENT
    session.probe()

    preparation.prepare(Kind.HARDWARE, "later")

    assert looks.limits == [SILENCE_S, GLANCE_S]
    assert session.error is held.lost


def test_prepare_uses_a_lost_board_that_answers_again_safe(
    preparation: BoardPreparation, session: BoardSession, held: AcquiredBoard, looks: Looks
) -> None:
    looks.found = SILENT
    session.probe()
    looks.found = PRESENT
    before = held.board

    preparation.prepare(Kind.HARDWARE, "later")

    assert (session.error, held.lost, done_to(held.board)) == (None, None, ["made safe"])
    assert (held.board is before, done_to(before)) == (False, ["closed"])


def test_prepare_reopens_a_board_that_left_the_bus_unnoticed(
    preparation: BoardPreparation, session: BoardSession, held: AcquiredBoard, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = held.board
    monkeypatch.setattr(before, "is_reachable", lambda: False)
    ended: list[bool] = []
    preparation._before_reopening = lambda: ended.append(held.board is before)

    preparation.prepare(Kind.HARDWARE, "later")

    assert (session.error, held.board is before, ended) == (None, False, [True])


def test_prepare_lets_no_test_open_a_board_that_came_back_and_cannot_be_made_safe(
    preparation: BoardPreparation, session: BoardSession, held: AcquiredBoard, looks: Looks
) -> None:
    held.replaced, looks.error = True, RequestStalledError("force-off was refused")

    preparation.prepare(Kind.HARDWARE, "later")

    held_boards.restrict(held.host.dev)
    try:
        assert (session.error is None, held_boards.default_for(held.host)) == (False, None)
    finally:
        held_boards.lift(held.host.dev)


def test_prepare_reopens_a_board_that_came_back_at_another_address(
    preparation: BoardPreparation, session: BoardSession, held: AcquiredBoard, looks: Looks
) -> None:
    before = held.board
    looks.found = ProbeResult(Verdict.PRESENT, SERIAL, location="bus 1 address 9")
    session.probe()

    preparation.prepare(Kind.HARDWARE, "later")

    assert (session.error, held.board is before, done_to(before)) == (None, False, ["closed"])


@pytest.mark.parametrize("silence_s", [SILENCE_S, 0.5])
def test_probe_waits_for_a_sequence_that_this_board_started(
    session: BoardSession, held: AcquiredBoard, looks: Looks, silence_s: float
) -> None:
    held.board.busy_s = 40.0  # type: ignore[misc]
    session._options = RunOptions(parse_boards("usb"), require=False, wait_s=0.0, silence_s=silence_s)

    session.probe()

    assert looks.limits == [40.0 + silence_s]


@pytest.mark.parametrize("verdict", [Verdict.DENIED, Verdict.FAULTY, Verdict.BUSY])
def test_probe_finds_a_board_lost_beside_a_device_without_a_serial(
    session: BoardSession, held: AcquiredBoard, looks: Looks, verdict: Verdict
) -> None:
    looks.found = ProbeResult(verdict, error=BoardDeniedError("no permission"), location="bus 1 address 3")

    assert (session.probe().verdict, held.lost is None) == (Verdict.LOST, False)


@pytest.mark.usefixtures("held")
def test_probe_finds_a_board_denied_that_may_not_be_opened(session: BoardSession, looks: Looks) -> None:
    looks.found = ProbeResult(
        Verdict.DENIED, error=BoardDeniedError("no permission"), location=FakeBoard.location
    )

    assert session.probe().verdict is Verdict.DENIED


@pytest.mark.parametrize("verdict", [Verdict.DENIED, Verdict.NO_BACKEND, Verdict.BUSY, Verdict.ABSENT])
def test_probe_finds_an_answering_board_present_although_a_probe_fails(
    session: BoardSession, held: AcquiredBoard, looks: Looks, verdict: Verdict
) -> None:
    looks.found = ProbeResult(verdict, error=BoardDeniedError("no permission"))
    held.board.is_answering = True  # type: ignore[attr-defined]  # a fake

    assert (session.probe().verdict, held.lost) == (Verdict.PRESENT, None)


@pytest.mark.usefixtures("held")
def test_probe_finds_an_acquired_board_lost_when_it_is_gone(session: BoardSession, looks: Looks) -> None:
    looks.found = ProbeResult(Verdict.ABSENT, SERIAL, error=BoardAbsentError("gone"))

    assert session.probe().verdict is Verdict.LOST


def test_probe_finds_a_board_absent_that_was_not_acquired(session: BoardSession, looks: Looks) -> None:
    looks.found = ProbeResult(Verdict.ABSENT, error=BoardAbsentError("none"))

    assert session.probe().verdict is Verdict.ABSENT


def test_suits_is_false_for_a_test_with_another_given_board(
    session: BoardSession, held: AcquiredBoard
) -> None:
    session.held = held

    assert session.suits(ANY_BOARD, SERIAL)
    assert not session.suits(ANY_BOARD, "another")


def test_suits_is_false_for_tags_that_a_lost_board_cannot_tell(
    session: BoardSession, held: AcquiredBoard
) -> None:
    def read() -> Settings:
        raise BoardLostError("gone")

    held.board.settings.read = read  # type: ignore[method-assign]
    session.held = held

    assert not session.suits(BoardRequirement(frozenset({"jetson"})))


@pytest.fixture
def beside(
    session: BoardSession, held: AcquiredBoard, looks: Looks, monkeypatch: pytest.MonkeyPatch
) -> AcquiredBoard:
    """A held board that is lost, while another one, tagged nvme, can be used."""
    other = BoardInfo("5a1c0e02", tags=frozenset({"nvme"}))
    monkeypatch.setattr(session.acquirer.search, "infos", lambda **_: [BoardInfo(SERIAL), other])
    held.lost = BoardLostError("it was silent", remedy="")
    looks.found = SILENT
    return held


@pytest.mark.parametrize("requirement", [ANY_BOARD, BoardRequirement(tags=frozenset({"nvme"}))], ids=str)
def test_can_replace_a_lost_board_by_one_that_suits(
    session: BoardSession, beside: AcquiredBoard, requirement: BoardRequirement
) -> None:
    assert session.can_replace(requirement)
    assert session.held is beside


def test_can_replace_a_board_that_left_the_bus_unnoticed(
    session: BoardSession, beside: AcquiredBoard, monkeypatch: pytest.MonkeyPatch
) -> None:
    beside.lost = None
    monkeypatch.setattr(FakeBoard, "is_reachable", lambda _: False)

    assert session.can_replace(ANY_BOARD)


def test_can_replace_keeps_a_board_that_never_left(session: BoardSession, beside: AcquiredBoard) -> None:
    beside.lost = None

    assert not session.can_replace(ANY_BOARD)


def test_prepare_tells_how_a_board_was_lost_unnoticed(
    preparation: BoardPreparation,
    session: BoardSession,
    beside: AcquiredBoard,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    beside.lost = None
    monkeypatch.setattr(FakeBoard, "is_reachable", lambda _: False)

    preparation.prepare(Kind.HARDWARE, "test_now")

    assert "is silent" in str(session.error)


@pytest.mark.usefixtures("beside")
def test_can_replace_keeps_a_board_where_no_other_suits(session: BoardSession) -> None:
    assert not session.can_replace(BoardRequirement(tags=frozenset({"jetson"})))


@pytest.mark.usefixtures("beside")
def test_can_replace_leaves_it_to_a_controller_that_gives_boards(session: BoardSession) -> None:
    assert not session.can_replace(ANY_BOARD, SERIAL)


@pytest.mark.usefixtures("beside")
def test_can_replace_keeps_a_board_that_came_back(session: BoardSession, looks: Looks) -> None:
    looks.found = PRESENT

    assert not session.can_replace(ANY_BOARD)


def test_prepare_reports_the_fault_of_a_board_that_refuses_to_tell_its_tags(
    preparation: BoardPreparation, session: BoardSession, looks: Looks, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> FakeBoard:
        raise RequestStalledError("board 5a1c0e01: config request failed", remedy="")

    monkeypatch.setattr("hil.boards.search.open_driver", refuse)
    looks.found = PRESENT

    preparation.prepare(Kind.HARDWARE, "test_a", BoardRequirement(tags=frozenset({"nvme"})))

    assert isinstance(session.error, RequestStalledError)


def test_prepare_puts_the_present_test_into_the_lease(
    preparation: BoardPreparation, held: AcquiredBoard
) -> None:
    preparation.prepare(Kind.HARDWARE, "test_now")

    assert done_to(held.lease) == ["test_now"]


def test_give_back_makes_safe_closes_and_frees_the_board(session: BoardSession, held: AcquiredBoard) -> None:
    session.give_back()

    assert done_to(held.board) == ["made safe", "closed"]
    assert done_to(held.lease) == ["released"]


def test_give_back_leaves_a_board_that_cannot_be_made_safe_to_its_guard(
    session: BoardSession, held: AcquiredBoard
) -> None:
    held.board.error = TransferError("no")  # type: ignore[attr-defined]

    with pytest.raises(TransferError):
        session.give_back()

    assert done_to(held.lease) == ["left to its guard"]


def test_give_back_leaves_a_lost_board_to_its_guard(
    session: BoardSession, held: AcquiredBoard, looks: Looks
) -> None:
    looks.found = SILENT
    session.probe()

    with pytest.raises(BoardLostError):
        session.give_back()

    assert done_to(held.board) == ["closed"]
    assert done_to(held.lease) == ["left to its guard"]


@pytest.mark.parametrize(
    ("found", "told"), [(PRESENT, RequestStalledError), (SILENT, BoardLostError)], ids=["answers", "silent"]
)
def test_give_back_tells_a_board_that_came_back_faulty_from_one_that_is_lost_again(
    session: BoardSession, held: AcquiredBoard, looks: Looks, found: ProbeResult, told: type[HilError]
) -> None:
    held.replaced, looks.found, looks.error = True, found, RequestStalledError("force-off was refused")

    with pytest.raises(told):
        session.give_back()

    assert done_to(held.lease) == ["left to its guard"]


FAULTY = ProbeResult(Verdict.FAULTY, SERIAL, error=TwinBoardsError("two boards"), location=FakeBoard.location)
DENIED = ProbeResult(
    Verdict.DENIED, SERIAL, error=BoardDeniedError("no permission"), location=FakeBoard.location
)


@pytest.mark.parametrize("found", [FAULTY, DENIED])
def test_prepare_raises_what_is_found_now_of_a_board_that_was_lost(
    preparation: BoardPreparation,
    held: AcquiredBoard,
    looks: Looks,
    monkeypatch: pytest.MonkeyPatch,
    found: ProbeResult,
) -> None:
    held.lost, looks.found = BoardLostError("lost in an earlier test"), found
    monkeypatch.setattr("hil.boards.lease_and_open.open_driver", Mock(side_effect=found.error))

    preparation.prepare(Kind.HARDWARE, "later")

    assert preparation.session.error is found.error
    assert preparation.session.is_unusable


@pytest.mark.parametrize("found", [FAULTY, DENIED])
def test_give_back_does_not_call_a_board_lost_that_is_back(
    session: BoardSession,
    held: AcquiredBoard,
    looks: Looks,
    monkeypatch: pytest.MonkeyPatch,
    found: ProbeResult,
) -> None:
    held.lost, looks.found = BoardLostError("lost in an earlier test"), found
    monkeypatch.setattr("hil.boards.lease_and_open.open_driver", Mock(side_effect=found.error))

    with pytest.raises(type(found.error)):
        session.give_back()

    assert done_to(held.lease) == ["left to its guard"]


def test_prepare_forgets_why_the_test_before_had_no_board(
    preparation: BoardPreparation, session: BoardSession, held: AcquiredBoard
) -> None:
    session.fail(BoardAbsentError("none"))
    assert held.is_as_opened

    preparation.prepare(Kind.HARDWARE, "later")

    assert (session.error, session.why_no_board) == (None, None)


def test_error_of_an_acquired_board_does_not_show_that_there_is_none(session: BoardSession) -> None:
    error = BoardLostError("gone while an image was written")

    session.fail_on_board(error)

    assert (session.error, session.why_no_board) == (error, None)


def test_acquire_does_not_wait_twice_for_a_board_that_stays_busy(
    preparation: BoardPreparation, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits: list[float] = []
    monkeypatch.setattr("hil.boards.lease_and_open.acquire_all", always_busy(waits))

    preparation.prepare(Kind.HARDWARE, "first")
    preparation.prepare(Kind.HARDWARE, "second")

    assert waits == [WAIT_S, 0.0]


def test_acquire_waits_the_whole_time_for_another_board(
    preparation: BoardPreparation, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits: list[float] = []
    monkeypatch.setattr("hil.boards.lease_and_open.acquire_all", always_busy(waits))

    for serial in (SERIAL, SERIAL, "another", SERIAL):
        preparation.prepare(Kind.HARDWARE, "one", ANY_BOARD, serial)

    assert waits == [WAIT_S, 0.0, WAIT_S, 0.0]


def test_acquire_is_as_patient_with_another_board_after_a_silent_one(
    preparation: BoardPreparation, monkeypatch: pytest.MonkeyPatch
) -> None:
    limits: list[float] = []

    def open_board(_: Host, serial: str, __: object, *, limit_s: float, console: bool) -> None:
        assert console
        limits.append(limit_s)
        raise BoardLostError("silent", serial=serial)

    monkeypatch.setattr(
        "hil.boards.lease_and_open.acquire_all",
        lambda choices, **_: [SimpleNamespace(serial=choices[0][0], release_untouched=lambda: None)],
    )
    monkeypatch.setattr(
        "hil.boards.lease_and_open.under_guard",
        lambda lease, *_, **__: SimpleNamespace(
            serial=lease.serial, made_safe=None, release_unused=lambda: None
        ),
    )
    monkeypatch.setattr("hil.boards.lease_and_open.open_driver", open_board)
    for serial in (SERIAL, SERIAL, "another", SERIAL):
        preparation.prepare(Kind.HARDWARE, "one", ANY_BOARD, serial)

    assert limits == [SILENCE_S, GLANCE_S, SILENCE_S, GLANCE_S]


@pytest.mark.parametrize("verdict", [Verdict.BUSY, Verdict.LOST])
def test_may_open_its_own_is_false_for_a_busy_or_lost_board(session: BoardSession, verdict: Verdict) -> None:
    session.error = BoardBusyError("busy") if verdict is Verdict.BUSY else BoardLostError("lost")

    assert not session.may_open_its_own


def test_may_open_its_own_is_true_for_an_absent_board(session: BoardSession) -> None:
    session.error = BoardAbsentError("none")

    assert session.may_open_its_own


def test_board_is_refused_to_a_test_that_acquired_none(session: BoardSession) -> None:
    with pytest.raises(UsageError, match="holds none"):
        session.board()


def always_busy(waits: list[float]) -> Callable[..., None]:
    def acquire_all(_: list[list[str]], *, wait_s: float, test: str, **others: object) -> None:
        assert others["on_wait"]
        assert others["wait_option"] == "--hil-wait"
        assert others["host"]
        assert others["folder"] is None
        waits.append(wait_s)
        raise BoardBusyError(f"not for {test}")

    return acquire_all


@pytest.mark.parametrize("proof", [None, object(), True, SafeProof("0badb0a2")])
def test_acquired_board_without_proof_that_it_is_safe_is_left_to_its_guard(
    held: AcquiredBoard, proof: Any
) -> None:
    with pytest.raises(BoardUnsafeError, match=f"nothing shows that board {SERIAL} was made safe"):
        held.release(proof)

    assert done_to(held.board) == ["closed"]
    assert done_to(held.lease) == ["left to its guard"]


@pytest.mark.parametrize(("proof", "how"), [(SafeProof(SERIAL), "released"), (None, "left to its guard")])
def test_acquired_board_that_cannot_be_closed_is_released(
    held: AcquiredBoard, proof: SafeProof | None, how: str
) -> None:
    board: Any = held.board
    given: list[str] = []
    source: Any = SimpleNamespace(return_to_lab=lambda: given.append("given back"))
    held.source = source
    board.close = raising(OSError("the tty went away"))

    with pytest.raises(OSError, match="went away"):
        held.release(proof)

    assert (done_to(held.lease), given) == ([how], ["given back"])


@pytest.mark.parametrize(
    ("unable", "how"),
    [
        ("note", "released"),
        ("place_of", "released"),
        ("made_safe", "released"),
        ("take", "left to its guard"),
    ],
)
def test_acquire_releases_the_lease_whatever_fails_after_it(
    session: BoardSession, monkeypatch: pytest.MonkeyPatch, unable: str, how: str
) -> None:
    acquirer: Any = session.acquirer
    lease: Any = FakeLease()
    lease.made_safe = SimpleNamespace(why="its holder died") if unable == "made_safe" else None
    fails = raising(ZeroDivisionError())
    place = PlaceInfo()
    acquirer.source.place_of = lambda *_: place
    if unable in {"note", "place_of"}:
        setattr(acquirer.source, unable, fails)
    if unable == "made_safe":
        acquirer.tell = fails
    if unable == "take":
        monkeypatch.setattr(AcquiredBoard, "take", fails)
    monkeypatch.setattr("hil.boards.acquire_usable.lease_boards", lambda *_: [lease])

    with pytest.raises(ZeroDivisionError):
        acquirer.acquire("a test", serial=SERIAL)

    assert done_to(lease) == [how]


def test_acquire_raises_an_error_that_names_no_board(
    session: BoardSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    error = BoardLostError("one of them is silent")
    monkeypatch.setattr("hil.boards.acquire_usable.lease_boards", raising(error))

    with pytest.raises(BoardLostError, match="one of them is silent"):
        session.acquirer.acquire("a test", serial=SERIAL)


def test_acquire_partners_raises_an_error_that_names_no_board(
    session: BoardSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    error = BoardLostError("one of them is silent")
    monkeypatch.setattr("hil.boards.partners.lease_boards", raising(error, ZeroDivisionError()))
    given = [SERIAL, "another"]

    with pytest.raises(BoardLostError, match="one of them is silent"):
        acquire_partners(
            session.acquirer, "a test", [ANY_BOARD] * 2, given, held=(), release=lambda _board: None
        )


@pytest.mark.parametrize("busy", [0, 1], ids=["first", "partner"])
def test_acquire_partners_of_a_lab_does_not_wait_if_the_controller_says_so(
    session: BoardSession, monkeypatch: pytest.MonkeyPatch, busy: int
) -> None:
    source: Any = session.acquirer.source
    source.is_remote, source.look_again, source.another = True, lambda: None, lambda: source
    session.acquirer.may_wait = False
    may_wait: list[bool] = []

    def acquire(acquirer: BoardAcquirer, *_: object) -> Any:
        may_wait.append(acquirer.may_wait)
        if len(may_wait) > busy:
            raise BoardBusyError("in use")
        return SimpleNamespace(make_safe_and_release=lambda **_: None)

    monkeypatch.setattr(BoardAcquirer, "acquire", acquire)
    monkeypatch.setattr("hil.boards.partners.sleep", raising(ZeroDivisionError()))

    with pytest.raises(BoardBusyError):
        acquire_partners(
            session.acquirer, "a test", [ANY_BOARD] * 2, [SERIAL, "another"], held=(), release=lambda _: None
        )

    assert not any(may_wait)


def raising(*errors: Exception) -> Callable[..., Any]:
    """Return a function that raises these errors, one after the other, and then the last again."""
    left = list(errors)

    def fail(*_: object, **__: object) -> Any:
        raise left.pop(0) if left[1:] else left[0]

    return fail


def test_search_finds_a_board_that_came_between_two_listings(
    session: BoardSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    search = session.acquirer.search
    infos = [BoardInfo(SERIAL, "", frozenset({"two"})), BoardInfo("0ther", "", frozenset({"one"}))]
    monkeypatch.setattr(search, "_find_any", lambda _host: ["0ther"])
    monkeypatch.setattr(search, "infos", lambda **_: infos)

    assert search.find(Host(), BoardRequirement(frozenset({"two"}))) == [SERIAL]


@pytest.mark.parametrize(("is_remote", "kept"), [(False, 1), (True, None)])
def test_prepare_keeps_a_board_that_works_but_of_a_lab_only_the_first(
    preparation: BoardPreparation,
    session: BoardSession,
    monkeypatch: pytest.MonkeyPatch,
    is_remote: bool,
    kept: int | None,
) -> None:
    lost, works = (
        SimpleNamespace(
            is_as_opened=is_as_opened, lease=SimpleNamespace(guard_error=None), lease_loss=lambda: None
        )
        for is_as_opened in (False, True)
    )
    for one in (lost, works):
        one.can_be_kept = AcquiredBoard.can_be_kept.fget(cast("Any", one))  # type: ignore[attr-defined]
    boards: list[Any] = [lost, works]
    session.held, *session.partners = boards
    monkeypatch.setattr(session.acquirer.source, "is_remote", is_remote)
    released: list[Any] = []
    preparation._release_other = released.append

    preparation._keep_one(ANY_BOARD, None)

    assert released == [one for number, one in enumerate(boards) if number != kept]


def test_info_of_a_partner_comes_from_its_own_source(
    session: BoardSession, held: AcquiredBoard, monkeypatch: pytest.MonkeyPatch
) -> None:
    stored = SimpleNamespace(name="", tags="")
    monkeypatch.setattr(held.board, "settings", SimpleNamespace(read=lambda: stored))
    own: Any = SimpleNamespace(remote_info_of=lambda serial: BoardInfo(serial, "rack-2", exporter="lab1"))
    held.source = own

    assert session.infos.now(held) == BoardInfo(SERIAL, "rack-2", exporter="lab1")
