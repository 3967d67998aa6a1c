"""A probe through code that a test replaced proves nothing: it skips no test."""

from __future__ import annotations

import sys
from types import ModuleType
from typing import TYPE_CHECKING

import pytest
import usb.core

from hil.dutlink.usb import backend
from hil.errors import ReplacedCodeError
from hil.suite.original_code import is_original, is_watched, note_test, raise_if_replaced
from hil.suite.outcome.exit_status import Status
from tests.support.programs import program

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.suite_run import RunSuite

pytest_plugins = "pytester"

LEAKS = program(__file__, "original_code_leaks")
LEAKS_LAST = """
from unittest import mock
import usb.core

def test_leaks_last(power):
    power.on()
    gone = usb.core.USBError("No such device", -4, 19)
    mock.patch.object(usb.core.Device, "ctrl_transfer", side_effect=gone).start()
"""
OWN_PATCH = """
import usb.core

def test_misses_a_file(power, monkeypatch):
    power.read()
    gone = usb.core.USBError("No such device", -4, 19)
    monkeypatch.setattr(usb.core.Device, "ctrl_transfer", lambda *_a: (_ for _ in ()).throw(gone))
    raise FileNotFoundError(2, "config.yml")
"""


@pytest.fixture(autouse=True)
def _forgets_tests() -> Iterator[None]:
    yield
    note_test("")


def test_is_original_is_true_of_code_as_it_was_loaded() -> None:
    assert is_original()


@pytest.mark.parametrize("name", ["find", "Device"])
def test_raise_if_replaced_names_a_replaced_function_or_class(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(usb.core, name, list)

    with pytest.raises(ReplacedCodeError, match=f"usb.core.{name} is replaced, by this test"):
        raise_if_replaced()


def test_raise_if_replaced_names_the_first_test_that_left_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(usb.core.Device, "ctrl_transfer", lambda: b"")
    note_test("test_a::test_leaks")
    note_test("test_a::test_next")

    with pytest.raises(ReplacedCodeError, match="by test_a::test_leaks"):
        raise_if_replaced()


def test_is_original_is_false_without_a_module_of_pyusb(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "usb.core", ModuleType("usb.core"))

    assert not is_original()


def test_is_original_is_false_with_a_patched_backend_object(monkeypatch: pytest.MonkeyPatch) -> None:
    class BackendOfTest:
        def enumerate_devices(self) -> list[str]:
            return ["a board"]

    patched = BackendOfTest()
    patched.enumerate_devices = list  # type: ignore[method-assign,assignment]
    monkeypatch.setattr(backend, "_backends", {(0, 0): (None, patched)})

    assert not is_original()


@pytest.mark.parametrize("name", ["usbip", "usb_tools", "hil.dutlink.power"])
def test_is_watched_leaves_out_other_modules(name: str) -> None:
    assert not is_watched(name)


@pytest.mark.thorough  # a run of the suite
@pytest.mark.parametrize(
    "leak",
    ["usb.core.find", "usb.core.Device", "usb.core.Device.ctrl_transfer", "hil.dutlink.discovery.candidates"],
)
def test_leaked_mock_skips_no_later_test(
    leak: str, run_suite: RunSuite, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("INNER_LEAK", leak)
    inner = run_suite(LEAKS, "--hil-boards=sim:1")

    results = {"test_leaks": "passed", "test_after_it": "error", "test_mixed_after_it": "error"}
    assert (inner.results(), inner.status) == (results, Status.TESTS_FAILED), inner.text
    assert f"{leak} is replaced, by test_inner.py::test_leaks" in inner.text


@pytest.mark.thorough  # a run of the suite
def test_mock_leaked_by_the_last_test_fails_the_run(run_suite: RunSuite) -> None:
    inner = run_suite(LEAKS_LAST, "--hil-boards=sim:1")

    assert inner.status == Status.TESTS_FAILED, inner.text


@pytest.mark.thorough  # a run of the suite
def test_error_under_a_test_s_own_patch_is_its_failure(run_suite: RunSuite) -> None:
    inner = run_suite(OWN_PATCH, "--hil-boards=sim:1")

    assert (inner.results(), inner.status) == ({"test_misses_a_file": "failed"}, Status.TESTS_FAILED)
    assert "This is no skip: usb.core.Device.ctrl_transfer is replaced, by this test" in inner.text
