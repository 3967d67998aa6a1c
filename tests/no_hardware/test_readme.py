"""The README and the pages in docs say what the code does."""

from __future__ import annotations

import inspect
import os
import re
import shlex
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest
from click.testing import CliRunner

from hil import Board, Console, Pins, Power, Storage
from hil.cli.main import cli
from hil.dutlink.settings import BoardSettings
from hil.sim.management.fault_injection import FAULT_NAMES
from hil.suite.outcome.verdicts import REASONS
from tests.house import FORBIDDEN

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"
ARCHITECTURE = ROOT / "docs" / "architecture.md"
SESSIONS = ROOT / "docs" / "sessions.md"
WRITING = ROOT / "docs" / "writing-tests.md"
PAGES = [README, *sorted(ROOT.glob("docs/**/*.md"))]


def text(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def blocks(page: Path, language: str) -> list[str]:
    """The fenced blocks of one language, their common indentation taken away."""
    found = re.findall(rf"^( *)```{language}\n(.*?)^ *```$", text(page), flags=re.DOTALL | re.MULTILINE)
    return [re.sub(rf"^{indent}", "", block, flags=re.MULTILINE) for indent, block in found]


def commands(page: Path) -> list[list[str]]:
    """The command lines that a page tells its reader to type, pipes taken apart."""
    lines = "\n".join(blocks(page, "console")).splitlines()
    parts = [part for line in lines for part in line.split(" | ")]
    return [words for part in parts if (words := shlex.split(part, comments=True))]


def rows(page: Path, heading: str) -> list[list[str]]:
    """The cells of the first table after a heading of a page, without its head."""
    section = text(page).partition(f"# {heading}\n")[2]
    table = section.partition("\n|")[2].partition("\n\n")[0].splitlines()
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table[2:]]


def listed_folders() -> set[str]:
    """The folders of `hil` in the first cells of architecture.md's table."""
    cells = [line.split("|")[1] for line in text(ARCHITECTURE).splitlines() if line.startswith("|")]
    return {name.rstrip("/") for cell in cells for name in re.findall(r"`(hil/[\w/]+/)`", cell)}


@cache
def run(*command: str, folder: Path = ROOT) -> str:
    """Run a program of this environment, once for each command and folder; its output, both streams."""
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "HIL_"))
    }
    environment |= {"COLUMNS": "200", "PYTHONPATH": str(ROOT)}
    ran = subprocess.run(
        [sys.executable, "-m", *command],
        cwd=folder,
        env=environment,
        check=False,
        text=True,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    return ran.stdout


def test_the_sessions_listed_are_the_sessions_there_are() -> None:
    pytest.importorskip("nox")
    there_are = re.findall(r"^[-*] (\w+) ->", run("nox", "--list"), flags=re.MULTILINE)

    listed = [row[0].strip("`").removeprefix("nox -s ") for row in rows(SESSIONS, "Sessions")]

    assert sorted(listed) == sorted(["nox", *there_are])


def test_plain_nox_runs_what_the_page_says() -> None:
    pytest.importorskip("nox")
    listing = run("nox", "--list")

    selected = re.findall(r"^[*] (\w+) ->", listing, flags=re.MULTILINE)

    assert sorted(re.findall(r"`(\w+)`", rows(SESSIONS, "Sessions")[0][1])) == sorted(selected)


def test_ci_types_the_two_commands_of_the_readme() -> None:
    two_commands = blocks(README, "console")[0].split("\n")
    typed = ROOT.joinpath(".ci", "run").read_text(encoding="utf-8").replace(" --quiet", "").splitlines()

    assert [line for line in typed if line in two_commands[:2]] == two_commands[:2]


def test_readme_has_at_most_120_lines() -> None:
    assert len(text(README).splitlines()) <= 120


def test_the_first_test_is_eleven_lines_and_passes_the_lint_as_it_stands() -> None:
    (first_test,) = blocks(README, "python")

    assert len(first_test.splitlines()) <= 11
    for command in (["check"], ["format", "--check"]):
        ran = subprocess.run(
            [sys.executable, "-m", "ruff", *command, "--stdin-filename", "tests/test_first.py", "-"],
            cwd=ROOT,
            input=first_test,
            capture_output=True,
            text=True,
            check=False,
        )
        if "No module named" in ran.stderr:
            pytest.skip("ruff is not installed: nox -s lint has it")
        assert ran.returncode == 0, ran.stdout + ran.stderr


def test_ten_tests_are_ten() -> None:
    assert len(re.findall(r"^## \d+\. ", text(WRITING), flags=re.MULTILINE)) == 10


def test_the_first_test_passes_on_a_simulated_board(tmp_path: Path) -> None:
    shutil.copy(ROOT / "conftest.py", tmp_path)
    tmp_path.joinpath("test_first.py").write_text(blocks(README, "python")[0], encoding="utf-8")

    output = run("pytest", "-p", "no:cacheprovider", "--hil-boards", "sim:1", folder=tmp_path)

    assert "1 passed" in output, output


def test_the_first_test_fails_on_a_dut_that_draws_more(tmp_path: Path) -> None:
    shutil.copy(ROOT / "conftest.py", tmp_path)
    stricter = blocks(README, "python")[0].replace("(10.0)", "(0.1)")
    tmp_path.joinpath("test_first.py").write_text(stricter, encoding="utf-8")

    output = run("pytest", "-p", "no:cacheprovider", "--hil-boards", "sim:1", folder=tmp_path)

    assert "1 failed" in output, output
    assert "assert_mean_below(0.1)" in output, output


def test_every_skip_is_explained() -> None:
    explained = [row[2].strip("`") for row in rows(ROOT / "docs" / "skips.md", "What a skip means")]

    assert explained[: len(REASONS)] == list(REASONS.values())


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_page_names_the_actor(page: Path) -> None:
    prose = re.sub(r"\]\([^)]*\)", "]", text(page))  # without the addresses of links

    assert FORBIDDEN.findall(prose) == []


def test_list_of_pages_has_each_page_in_a_line_of_its_own() -> None:
    listed = re.findall(
        r"^- \[[^]]+\]\(([\w./-]+\.md)\)", text(ROOT / "docs" / "README.md"), flags=re.MULTILINE
    )

    pages = {page.relative_to(ROOT / "docs").as_posix() for page in PAGES[1:]} - {"README.md"}
    assert sorted(each for each in listed if not each.startswith("..")) == sorted(pages)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_link_leads_to_a_file(page: Path) -> None:
    links = re.findall(r"\]\(([^)#:\s]+)(?:#[^)]*)?\)", text(page))

    missing = [link for link in links if not (page.parent / link).exists()]

    assert missing == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_hil_command_of_a_page_exists(page: Path) -> None:
    verbs = {tuple(words_of_verb(command)) for command in commands(page) if command[0] == "hil"}

    unknown = [verb for verb in verbs if CliRunner().invoke(cli, [*verb, "--help"]).exit_code]

    assert unknown == []


def test_every_file_of_packaging_that_a_page_names_exists() -> None:
    named = {path for page in PAGES for path in re.findall(r"\bpackaging/[\w./@-]*\w", text(page))}

    assert named
    assert [path for path in named if not (ROOT / path).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_link_into_a_page_leads_to_a_heading(page: Path) -> None:
    links = re.findall(r"\]\(([^)#:\s]*\.md)?#([^)\s]+)\)", text(page))

    missing = [link for link in links if link[1] not in anchors((page.parent / link[0]) if link[0] else page)]

    assert missing == []


def anchors(page: Path) -> set[str]:
    """The anchors that GitHub gives to the headings of a page."""
    headings = re.findall(r"^#+ (.+)$", text(page), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def words_of_verb(command: list[str]) -> list[str]:
    """`hil sim fault --control 40001 ...` -> sim, fault."""
    words = command[1:]
    options = [number for number, word in enumerate(words) if word.startswith("-")]
    return words[: options[0]] if options else words


def test_every_option_of_the_suite_that_a_page_names_exists() -> None:
    named = {option for page in PAGES for option in re.findall(r"--hil-[a-z]+", text(page))}

    offered = set(re.findall(r"--hil-[a-z]+", run("pytest", "--help")))

    assert named == offered


def test_every_option_of_hil_sim_is_explained() -> None:
    page = text(ROOT / "docs" / "simulated-boards.md")
    offered = set(re.findall(r"^ +(--[a-z-]+)", run("hil.cli.main", "sim", "--help"), flags=re.MULTILINE))

    explained = set(re.findall(r"^\| `(--[a-z-]+)", page, flags=re.MULTILINE))

    assert explained == offered - {"--help", "--json"}


def test_every_fault_is_explained() -> None:
    table = text(ROOT / "docs" / "simulated-boards.md").partition("| fault |")[2].partition("\n\n")[0]

    explained = {name for row in table.splitlines()[2:] for name in re.findall(r"`(\w+)`", row.split("|")[1])}

    assert explained == set(FAULT_NAMES)


def test_architecture_lists_every_folder_of_the_package_and_no_other() -> None:
    folders = {file.parent.relative_to(ROOT).as_posix() for file in (ROOT / "hil").rglob("*.py")}

    assert listed_folders() - {"hil/data"} == folders - {"hil"}


def test_architecture_has_at_most_150_lines() -> None:
    assert len(text(ARCHITECTURE).splitlines()) <= 150


def test_architecture_names_files_that_exist() -> None:
    named = re.findall(r"`((?:hil/)?[\w]+/[\w/]+\.py)`", text(ARCHITECTURE))

    assert named
    roots = (ROOT, ROOT / "hil")
    assert [name for name in named if not any((root / name).is_file() for root in roots)] == []


def test_driver_page_names_what_a_board_has() -> None:
    listing = (
        text(ROOT / "docs" / "driver.md").partition("open_board(host) as board:\n")[2].partition("\n\n")[0]
    )
    parts = {"power": Power, "storage": Storage, "console": Console, "pins": Pins, "settings": BoardSettings}

    for line in listing.splitlines():
        first, *names = re.findall(r"\.([a-z_]+)", re.sub("#.*|-> [^;]*", "", line)) or ["serial"]
        assert {first, *names} <= members(Board) | members(parts.get(first, Board))


def members(of: type) -> set[str]:
    """The names of methods and attributes that a class has, those that only its objects have included."""
    return {*dir(of), *re.findall(r"self\.(\w+)", inspect.getsource(of))}
