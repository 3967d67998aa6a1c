"""Pages in a headless Chromium: `nox -s browser`. Tests here are collected only when this folder is named.

Without Chromium they are skipped with one line; where `CI` is set, that is a failure.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

HERE = Path(__file__).parent
TOLD = pytest.StashKey[list[str]]()
ARGUMENTS = [
    "--headless",
    "--no-sandbox",  # as root in a container there is none
    "--disable-gpu",
    "--disable-dev-shm-usage",  # small in containers
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


def pytest_ignore_collect(config: pytest.Config) -> bool | None:
    """Collect these tests only if an argument names them: they need a browser."""
    named = [
        config.invocation_params.dir / str(one).partition("::")[0] for one in config.invocation_params.args
    ]
    return None if any(path.resolve().is_relative_to(HERE) for path in named) else True


@pytest.fixture
def tell(pytestconfig: pytest.Config) -> Callable[[str], None]:
    """Notes a line for the end of the run."""
    return pytestconfig.stash.setdefault(TOLD, []).append


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    for line in config.stash.get(TOLD, []):
        terminalreporter.write_line(line)


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """One Chromium with a profile of its own."""
    chromium = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if chromium is None or importlib.util.find_spec("playwright") is None:
        why = "no Chromium: apt-get install chromium, then nox -s browser"
        pytest.fail(why, pytrace=False) if os.environ.get("CI") else pytest.skip(why)
    from playwright.sync_api import sync_playwright  # noqa: PLC0415 - it may be missing

    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=chromium, args=ARGUMENTS)
        yield launched  # with an empty profile of its own, which goes with it
        launched.close()


class Shown:
    """Opens pages from their files, each with a store of its own, and hears what they complain about."""

    def __init__(self, browser: Any) -> None:
        self._browser = browser
        self.trouble: list[str] = []
        self.contexts: list[Any] = []

    def __call__(self, path: Path, *, width: int = 1280, scheme: str = "light", expect: str = "") -> Any:
        """Open one; `expect` is in the one complaint that it may have."""
        context = self._browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
        self.contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: self.trouble.append(str(error)))
        page.on("console", lambda said: self.trouble.append(said.text) if said.type == "error" else None)
        page.on("request", lambda sent: self._note(sent.url))
        page.goto(path.resolve().as_uri())
        if expect:
            (complaint,) = self.trouble
            assert expect in complaint
            self.trouble.clear()
        return page

    def _note(self, url: str) -> None:
        if not url.startswith("file:"):
            self.trouble.append(f"asked the network for {url}")


@pytest.fixture
def show(browser: Any) -> Iterator[Shown]:
    """Opens pages; whatever one asks the network for, and every error of one, fails the test."""
    shown = Shown(browser)
    yield shown
    for context in shown.contexts:
        context.close()
    assert shown.trouble == []
