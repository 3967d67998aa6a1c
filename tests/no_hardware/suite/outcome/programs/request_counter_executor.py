import concurrent.futures

import pytest

POOL = concurrent.futures.ThreadPoolExecutor(1)


@pytest.fixture(scope="session")
def measured(power):
    return power.read()


def test_1(power):
    POOL.submit(power.read).result()


def test_2(power):
    POOL.submit(power.read).result()


class TestExtended:
    @pytest.fixture
    def measured(self, measured):
        return measured

    def test_3(self, measured):
        assert measured

    def test_4(self, measured):
        assert measured
