"""The conftest.py of the folder with which `suite_cost.py` compares: pytest alone makes the matrix."""

from __future__ import annotations

from typing import Any

import pytest

BOARDS = [f"rack-{number}" for number in range(1, 5)]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    metafunc.fixturenames.append("column")
    metafunc.parametrize("column", BOARDS, indirect=True, scope="session")


@pytest.fixture(scope="session")
def column(request: pytest.FixtureRequest) -> Any:
    return request.param


@pytest.fixture
def dutlink(column: str) -> str:
    return column
