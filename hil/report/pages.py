"""Render templates into files. All foreign text is escaped and sanitized."""

from __future__ import annotations

import base64
import hashlib
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from hil.dutlink.console.sanitize import sanitize_text
from hil.lab.files.atomic_file import write_below
from hil.report.filters import FILTERS

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["write_page"]


def write_page(folder: Path, name: str, template: str, **values: object) -> None:
    """Write one page into a folder of reports, which is created if missing; follow no link there.

    A page contains its own style and script, and its content policy allows only these two, by their hashes:
    a foreign script would not run.

    Raises:
        OSError: The page cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    page = _environment().get_template(template).render(**values)
    write_below(folder, name, page, mode=None)


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("hil.report"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_finalize,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(FILTERS)
    for name in ("page.css", "page.js"):
        text = _text(name)
        key = name.replace(".", "_")
        environment.globals[key] = Markup(text)  # noqa: S704 - a file of this package
        environment.globals[f"{key}_hash"] = _digest(text)
    return environment


def _finalize(value: Any) -> Any:  # noqa: ANN401 - whatever a template shows
    """Sanitize text; leave our own markup as it is."""
    if not isinstance(value, str) or isinstance(value, Markup) or (value.isascii() and value.isprintable()):
        return value
    return sanitize_text(value)


def _text(name: str) -> str:
    return files("hil.report").joinpath("templates", name).read_text(encoding="utf-8")


def _digest(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
