"""`--hil-report DIR`: who keeps what of a run, and in which process."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from hil.evidence.run_folder import EvidenceFolder
from hil.suite.markers import Kind, kind_of
from hil.suite.recording.identity import RUN_KEY, identity_of
from hil.suite.recording.power import PowerEvidence
from hil.suite.recording.run import RunRecorder
from hil.suite.recording.test import ResultRecorder

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from typing import Any

    from hil.suite.plugin import Run

__all__ = ["Evidence", "keep_evidence"]


def keep_evidence(config: pytest.Config, run: Run, folder: Path) -> None:
    """Keep evidence of a run, and its results as JUnit beside it unless they go elsewhere."""
    config.pluginmanager.register(Evidence(config, run, folder), "hil-evidence")
    if not hasattr(config, "workerinput") and not config.option.collectonly:
        if getattr(config.option, "xmlpath", folder) is None:
            config.option.xmlpath = str(folder / "junit.xml")
            config.pluginmanager.register(_ResultsBeside(run.ledger.not_kept), "hil-results-beside")
        recorder = RunRecorder(
            config, EvidenceFolder(folder), run.ledger, run.options.boards.text or "this host's USB"
        )
        config.pluginmanager.register(recorder, "hil-run-recorder")


class _ResultsBeside:
    """Takes care that nobody loses a run because `junit.xml`, which was not asked for, cannot be written."""

    def __init__(self, not_kept: list[str]) -> None:
        self._not_kept = not_kept

    @pytest.hookimpl(wrapper=True, trylast=True)  # inside of what gives the run its status
    def pytest_sessionfinish(self) -> Iterator[None]:
        """Tell it with all else that is not kept."""
        try:
            yield
        except OSError as error:
            self._not_kept.append(f"the results cannot be kept as JUnit: {error}")


class Evidence:
    """The plugin that brings in the others, once it is known what there is to run."""

    def __init__(self, config: pytest.Config, run: Run, folder: Path) -> None:
        self._config = config
        self._run = run
        self._folder = folder

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Any) -> None:  # noqa: ANN401 - xdist's worker controller
        """Tell each worker which run it is part of."""
        node.workerinput[RUN_KEY] = identity_of(self._config).key

    @pytest.hookimpl(trylast=True)  # so that its record is outside of what gets the board
    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Begin to keep evidence of tests."""
        register = session.config.pluginmanager.register
        if any(kind_of(item) is not Kind.NO_HARDWARE for item in session.items):
            power = PowerEvidence(self._run.boards, self._folder / "power", self._run.ledger.not_kept)
            register(power, "hil-power-evidence")
        recorder = ResultRecorder(
            self._config, self._run.boards, EvidenceFolder(self._folder), self._run.ledger.not_kept
        )
        register(recorder, "hil-test-recorder")
