"""What `nox -s kernel` builds its virtual machine with, as far as that can be tried without building one."""

from __future__ import annotations

import lzma
import sys
from pathlib import Path

import pytest

from tests.kernel import run as session
from tests.kernel.vm.cache import Cache, cache_folder
from tests.kernel.vm.kernel import module_files, uncompressed
from tests.kernel.vm.machine import Machine
from tests.kernel.vm.requirements import check_project, check_tools
from tests.kernel.vm.steps import BuildError, step

NO_SUCH = {"hil-no-such-program": "hil-no-such-package"}


def test_the_kernel_is_the_elf_among_the_packed_parts_of_its_image(tmp_path: Path) -> None:
    image = tmp_path / "vmlinuz"
    image.write_bytes(b"MZ" + lzma.compress(b"no kernel") + lzma.compress(b"\x7fELF kernel") + b"tail")

    assert uncompressed(image) == b"\x7fELF kernel"


def test_an_image_without_a_kernel_is_an_error(tmp_path: Path) -> None:
    image = tmp_path / "vmlinuz"
    image.write_bytes(b"MZ" + bytes(100))

    with pytest.raises(BuildError, match="no kernel"):
        uncompressed(image)


def test_modules_come_after_what_they_need_and_once(tmp_path: Path) -> None:
    (tmp_path / "modules.dep").write_text(
        "a/ext4.ko: b/jbd2.ko c/crc16.ko\nb/jbd2.ko:\nc/crc16.ko:\n", "utf-8"
    )

    files = [file.name for file in module_files(tmp_path, ["jbd2", "ext4", "built_in"])]

    assert files == ["jbd2.ko", "crc16.ko", "ext4.ko"]


def test_a_modules_name_may_be_written_with_dashes(tmp_path: Path) -> None:
    (tmp_path / "modules.dep").write_text("x/cdc-acm.ko:\n", "utf-8")

    assert [file.name for file in module_files(tmp_path, ["cdc_acm"])] == ["cdc-acm.ko"]


def test_a_missing_program_is_named_with_its_package() -> None:
    with pytest.raises(BuildError) as caught:
        check_tools(NO_SUCH)

    assert (caught.value.what, caught.value.remedy) == (
        "nox -s kernel needs hil-no-such-program",
        "sudo apt install hil-no-such-package",
    )


@pytest.mark.parametrize(("in_ci", "status"), [("", 0), ("true", 1)])
def test_without_qemu_a_contributor_is_told_in_one_line_and_ci_fails(
    in_ci: str,
    status: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("CI", in_ci)
    monkeypatch.setattr(session, "TO_RUN", NO_SUCH)
    monkeypatch.setattr(sys, "argv", ["run.py", "--vm", "--results", str(tmp_path / "results")])

    assert session.main() == status
    assert "sudo apt install hil-no-such-package" in capsys.readouterr().out.splitlines()[0]


def test_a_step_that_fails_shows_what_it_said() -> None:
    with pytest.raises(BuildError, match="unheard of"):
        step("a step", sys.executable, "-c", "print('unheard of'); raise SystemExit(3)", limit_s=30)


def test_a_step_that_takes_too_long_is_given_up() -> None:
    with pytest.raises(BuildError, match="more than 0 s"):
        step("a step", sys.executable, "-c", "input()", limit_s=0)


def test_what_is_cached_is_not_built_again(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    path = cache.path("thing", "input")
    built: list[Path] = []

    cache.get(path, built.append)
    cache.get(path, built.append)

    assert len(built) == 1


def test_a_build_that_fails_leaves_nothing_that_looks_finished(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    path = cache.path("thing", "input")

    def fail(_: Path) -> None:
        raise BuildError("no")

    with pytest.raises(BuildError):
        cache.get(path, fail)

    assert not path.exists()


def test_other_inputs_are_another_thing(tmp_path: Path) -> None:
    cache = Cache(tmp_path)

    assert cache.path("thing", "ab", "c") != cache.path("thing", "a", "bc")


def test_the_cache_is_where_hil_cache_dir_says(tmp_path: Path) -> None:
    assert cache_folder({"HIL_CACHE_DIR": str(tmp_path)}) == tmp_path / "kernel"


def test_a_folder_with_a_comma_reaches_qemu_whole(tmp_path: Path) -> None:
    machine = Machine(tmp_path, tmp_path / "a,b", (), tmp_path)

    assert any("a,,b,security_model" in word for word in machine.command())


def test_the_project_is_shared_read_only(tmp_path: Path) -> None:
    machine = Machine(tmp_path, tmp_path / "project", (), tmp_path)

    (shared,) = [word for word in machine.command() if "id=project" in word]
    assert shared.endswith("readonly=on")


def test_check_project_refuses_a_clone_that_the_guest_would_hide() -> None:
    check_project(Path("/home/user/hil"))
    check_project(Path("/developers/hil"))

    with pytest.raises(BuildError, match=r"cannot show /dev/hil .*file systems of its own in /dev"):
        check_project(Path("/dev/hil"))
