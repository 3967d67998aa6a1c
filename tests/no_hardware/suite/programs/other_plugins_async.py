import pytest


@pytest.mark.asyncio
async def test_awaits(power):
    power.read()


@pytest.mark.asyncio
@pytest.mark.hardware
async def test_awaits_in_vain():
    raise FileNotFoundError("no such data file")


@pytest.mark.asyncio
async def test_plain_await():
    raise FileNotFoundError("no such data file")
