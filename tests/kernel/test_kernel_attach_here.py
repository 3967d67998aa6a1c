"""The session on a machine whose kernel can attach boards: such a machine is this one, once it runs."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

LIMIT_S = 85.0


@pytest.mark.usefixtures("own_machine", "boards")
def test_where_the_kernel_has_vhci_hcd_boards_are_attached_without_a_virtual_machine(tmp_path: Path) -> None:
    results = tmp_path / "results"
    session = Path(__file__).with_name("run.py")
    one_test = ("--stage", "kernel", "-k", "test_a_board_is_opened_by_its_serial_number")
    environment = {name: text for name, text in os.environ.items() if not name.startswith(("COV", "PYTEST_"))}

    ran = subprocess.run(
        [sys.executable, session, "--results", results, *one_test],
        env=environment,
        timeout=LIMIT_S,
        check=False,
        capture_output=True,
        text=True,
    )

    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "attaching boards to this machine's own kernel" in ran.stdout + ran.stderr
    assert "1 passed" in ran.stdout
