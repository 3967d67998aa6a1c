"""The CI files of packaging, in a repository that `hil init` made: each command of theirs works there."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
from collections import defaultdict
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from hil.cli.main import run as hil

if TYPE_CHECKING:
    from types import ModuleType

ROOT = Path(__file__).parents[3]
TEMPLATES = [
    ROOT / "packaging" / "github" / "nightly.yml",
    ROOT / "packaging" / "gitlab" / "nightly.gitlab-ci.yml",
]
SIM_TEMPLATES = sorted(ROOT.glob("hil/data/ci/*-sim.yml"))


class RunningSession:
    """A session of nox that installs nothing and runs commands with this Python."""

    def __init__(self, *posargs: str) -> None:
        self.posargs = list(posargs)
        self.warnings: list[str] = []

    def install(self, *arguments: str) -> None:
        pass

    def warn(self, message: str) -> None:
        self.warnings.append(message)

    def run(self, program: str, *arguments: str, success_codes: range, **_limits: Any) -> None:
        assert program == "hil"
        environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
        environment |= {"PYTHONPATH": str(ROOT), "HIL_LAB": "none"}
        ran = subprocess.run(
            [sys.executable, "-m", "hil.cli.main", *arguments], env=environment, check=False, timeout=120
        )
        assert ran.returncode in success_codes

    def error(self, message: str) -> None:
        raise RuntimeError(message)


@pytest.fixture
def product(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository that `hil init` made, as the present folder."""
    assert hil(["init", str(tmp_path)]) == 0
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def noxfile(product: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The noxfile of the repository; nox itself would remember its sessions for the next test."""
    nox = SimpleNamespace(session=lambda function: function, options=SimpleNamespace(), Session=object)
    monkeypatch.setitem(sys.modules, "nox", nox)
    spec = importlib.util.spec_from_file_location(f"noxfile_of_{product.name}", product / "noxfile.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.usefixtures("product")
def test_night_of_an_initialized_repository_is_what_the_templates_keep(noxfile: ModuleType) -> None:
    noxfile.nightly(RunningSession("--hil-boards", "sim:1,speed=5", "-n", "1"))

    for template in TEMPLATES:
        subprocess.run(["sh", "-ec", artifact_command(template)], check=True)
        assert Path("night", "report", "index.html").is_file()
        (junit,) = Path("night").glob("*/junit.xml")
        page = junit.with_name("report") / "index.html"
        assert 'href="../../report/index.html"' in page.read_text(encoding="utf-8")
        assert (page.parent / "../../report/index.html").is_file()


def test_nightly_session_of_an_initialized_repository_exits_as_the_night(
    product: Path, noxfile: ModuleType
) -> None:
    (product / "tests" / "test_first.py").write_text("def test_it(power): assert 0\n", encoding="utf-8")

    with pytest.raises(SystemExit) as ended:
        noxfile.nightly(RunningSession("--hil-boards", "sim:1,speed=5", "-n", "1", "--hil-repeat", "0"))

    assert ended.value.code == 1


@pytest.mark.usefixtures("product")
def test_nightly_session_of_an_initialized_repository_fails_if_no_night_begins(noxfile: ModuleType) -> None:
    session = RunningSession()
    Path("nightly").write_text("in the way", encoding="utf-8")

    with pytest.raises(RuntimeError, match="no night began"):
        noxfile.nightly(session)


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda path: path.name)
@pytest.mark.parametrize("repository", ["product", "this one"])
def test_template_names_sessions_that_exist(
    template: Path, repository: str, request: pytest.FixtureRequest
) -> None:
    folder = ROOT if repository == "this one" else request.getfixturevalue("product")
    noxfile = (folder / "noxfile.py").read_text(encoding="utf-8")
    sessions = set(re.findall(r"^@nox\.session\ndef (\w+)", noxfile, re.MULTILINE))

    named = re.findall(r"nox -s (\w+)|\.nox/(\w+)/bin/hil", template.read_text(encoding="utf-8"))
    assert len(named) == 2
    assert {one or other for one, other in named} <= sessions


@pytest.mark.parametrize("template", SIM_TEMPLATES, ids=lambda path: path.name)
def test_template_for_each_push_runs_a_session_that_hil_init_writes(template: Path, product: Path) -> None:
    noxfile = (product / "noxfile.py").read_text(encoding="utf-8")

    (session,) = re.findall(r"nox -s (\w+) -- --hil-report report\b", template.read_text(encoding="utf-8"))
    assert f"def {session}(" in noxfile


def test_packaging_has_the_files_that_hil_init_writes(tmp_path: Path) -> None:
    for template, written in zip(
        TEMPLATES, (".github/workflows/nightly.yml", "nightly.gitlab-ci.yml"), strict=True
    ):
        hil(["init", "--ci", template.parent.name, str(tmp_path)])

        assert (tmp_path / written).read_bytes() == template.read_bytes()


def test_templates_have_one_major_of_each_action() -> None:
    text = "".join(path.read_text(encoding="utf-8") for path in ROOT.glob("hil/data/ci/github-*.yml"))

    majors = defaultdict(set)
    for action, major in re.findall(r"uses: (\S+)@(\S+)", text):
        majors[action].add(major)
    assert {action: list(found) for action, found in majors.items() if len(found) > 1} == {}
    assert all(re.fullmatch(r"v\d+", major) for found in majors.values() for major in found)


@pytest.mark.usefixtures("product")
@pytest.mark.parametrize("template", TEMPLATES, ids=lambda path: path.name)
def test_last_command_of_a_template_is_one_of_hil(template: Path) -> None:
    (command,) = re.findall(r"\.nox/nightly/bin/hil (.+)", template.read_text(encoding="utf-8"))

    assert hil([*command.split(), "--help"]) == 0


def artifact_command(template: Path) -> str:
    """Return the shell command that gathers the artifact."""
    (command,) = re.findall(
        r"rm -rf night .+? night/$", template.read_text("utf-8"), re.DOTALL | re.MULTILINE
    )
    return " ".join(command.split())
