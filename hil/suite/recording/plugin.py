"""`--hil-report DIR`: register the plugins that keep evidence of a run, each in the process that needs it."""

from __future__ import annotations

import secrets
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from hil.suite.markers import Kind, kind_of
from hil.suite.outcome.ledger_report import junit_files
from hil.suite.recording.identity import RUN_KEY, run_record_of
from hil.suite.recording.power import PowerEvidence
from hil.suite.recording.run import RunRecorder
from hil.suite.recording.test import ResultRecorder

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from hil.evidence.run_folder import EvidenceFolder
    from hil.suite.boards.lifecycle import BoardLifecycle
    from hil.suite.outcome.ledger import Ledger

__all__ = ["Evidence", "keep_evidence"]


def keep_evidence(
    config: pytest.Config, folder: EvidenceFolder, boards: BoardLifecycle, ledger: Ledger, boards_from: str
) -> None:
    """Keep evidence of a run, and its results as `junit.xml` in the same folder unless JUnit goes elsewhere.

    Args:
        config: The run.
        folder: The evidence.
        boards: This process's board.
        ledger: The tally of the run; it takes what cannot be kept.
        boards_from: Where the boards are, as a person reads it.
    """
    config.pluginmanager.register(Evidence(config, folder, boards, ledger), "hil-evidence")
    if not hasattr(config, "workerinput") and not config.option.collectonly:
        if getattr(config.option, "xmlpath", folder) is None:
            config.option.xmlpath = str(folder.path / "junit.xml")
            config.pluginmanager.register(_OptionalJunit(config, ledger.not_kept), "hil-results-beside")
        recorder = RunRecorder(config, folder, ledger, boards_from)
        config.pluginmanager.register(recorder, "hil-run-recorder")


class _OptionalJunit:
    """A plugin that writes a `junit.xml` that was not asked for: through no link, and without failing a run.

    Args:
        config: The run.
        not_kept: Takes the error.
    """

    def __init__(self, config: pytest.Config, not_kept: list[str]) -> None:
        self._config = config
        self._not_kept = not_kept

    @pytest.hookimpl(wrapper=True, trylast=True)  # inside the hook that chooses the exit status
    def pytest_sessionfinish(self) -> Iterator[None]:
        """Let pytest write a new file, and rename it; note an error with the evidence that is not kept."""
        files = junit_files(self._config)
        path = Path(self._config.option.xmlpath)
        beside = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
        for file in files:
            file.logfile = str(beside)
        try:
            yield
            beside.replace(path)
        except OSError as error:
            self._not_kept.append(f"the results cannot be kept as JUnit: {error}")
            with suppress(OSError):
                beside.unlink(missing_ok=True)
        finally:
            for file in files:
                file.logfile = str(path)


class Evidence:
    """A plugin that registers the recorders of tests after the collection, when the tests are known.

    Args:
        config: The run.
        folder: The evidence.
        boards: This process's board.
        ledger: The tally of the run.
    """

    def __init__(
        self, config: pytest.Config, folder: EvidenceFolder, boards: BoardLifecycle, ledger: Ledger
    ) -> None:
        self._config = config
        self._folder = folder
        self._boards = boards
        self._ledger = ledger

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Any) -> None:  # noqa: ANN401 - xdist's worker controller
        """Tell each worker the key of the run."""
        node.workerinput[RUN_KEY] = run_record_of(self._config).key

    @pytest.hookimpl(trylast=True)  # so that the record of a test includes the time until it has a board
    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Register the recorders."""
        register = session.config.pluginmanager.register
        not_kept = self._ledger.not_kept
        if any(kind_of(item) is not Kind.NO_HARDWARE for item in session.items):
            register(PowerEvidence(self._boards, self._folder.path, not_kept), "hil-power-evidence")
        register(ResultRecorder(self._config, self._boards, self._folder, not_kept), "hil-test-recorder")
