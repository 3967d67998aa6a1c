"""What workers send can be sent, whatever a folder, a test or a value is called."""

from __future__ import annotations

import enum
import os
from pathlib import Path
from typing import TYPE_CHECKING

import execnet
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hil.suite.xdist.plain_messages import as_plain
from tests.support.programs import program

if TYPE_CHECKING:
    from tests.support.suite_run import RunSuite

pytest_plugins = ["pytester"]

ODD = os.fsdecode(b"caf\xe9")
SHOWN = r"caf\udce9"
LAB = """
[place.rack-1]
serial = "00000000"
image = "rack.img"
"""


class Colour(enum.Enum):
    RED = enum.auto()


values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.binary(max_size=3)
    | st.text(st.characters(), max_size=3)
    | st.sampled_from([Colour.RED, Path("x"), ODD, pytest.ExitCode.OK]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.tuples(inner, inner)
        | st.dictionaries(st.text(st.characters(), max_size=2), inner, max_size=3)
    ),
)


@given(values)
def test_as_plain_returns_what_execnet_can_send(value: object) -> None:
    execnet.dumps(as_plain(value))


def test_as_plain_returns_plain_data_as_it_is() -> None:
    message = ("name", {"text": "Grüße", "data": b"\xff", "list": [1, 2.5, None, True], "set": {1}})

    assert as_plain(message) == message


@pytest.mark.thorough
@pytest.mark.parametrize("workers", ["-n1", "-n2"])
def test_workers_run_tests_images_and_a_lab_file_of_a_folder_that_is_not_utf_8(
    run_suite: RunSuite, pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, workers: str
) -> None:
    odd = pytester.mkdir(ODD)
    odd.joinpath("test_odd.py").write_text(program(__file__, "plain_messages_tests"), encoding="utf-8")
    odd.joinpath("lab.toml").write_text(LAB, encoding="utf-8")
    for name in ("rack.img", "dut.img"):
        odd.joinpath(name).write_bytes(os.urandom(1 << 16))
    pytester.path.joinpath("link").symlink_to(odd)
    monkeypatch.setenv("HIL_LAB", str(odd / "lab.toml"))
    options = ("--hil-image=link/dut.img", "--hil-report=link/kept", "--ignore=link")

    inner = run_suite("def test_plain(): pass", "--hil-boards=sim:2,speed=20", workers, *options)

    assert inner.results() == {
        "test_board": "passed",
        "test_fails": "failed",
        "test_plain": "passed",
        "test_skips": "skipped",
        "test_warns": "passed",
    }
    assert "DIED" not in inner.text
    assert "INTERNALERROR" not in inner.text
    assert SHOWN in inner.outcomes["test_fails"].message
    assert inner.outcomes["test_board"].properties["number"] == str(-(10**12))
    assert odd.joinpath("kept", "index.html").exists()
