"""A pull is given up for its silence, and never for the time it takes."""

from __future__ import annotations

import asyncio

import pytest

from keelman.errors import EngineFailed
from keelman.runtime.streams import patience
from tests.unit.virtual_time import in_virtual_time, the_loop


async def pass_time(seconds: float) -> None:
    """Let the loop's clock, which is not the wall's, go on."""
    await asyncio.sleep(seconds)


@in_virtual_time
async def test_whoever_goes_on_saying_something_has_all_the_time() -> None:
    async with patience("the pull", 300) as heard:
        for _ in range(100):
            await pass_time(299)
            heard()
    assert the_loop().time() == 29_900


@in_virtual_time
async def test_silence_is_given_up_with_the_time_it_had() -> None:
    async def says_one_thing() -> None:
        async with patience("the pull", 300) as heard:
            await pass_time(200)
            heard()
            await pass_time(1000)

    with pytest.raises(EngineFailed, match="the pull said nothing for 300 s"):
        await says_one_thing()
    assert the_loop().time() == 500


@in_virtual_time
async def test_a_timeout_of_another_is_not_taken_for_silence() -> None:
    """A connection that cannot be made ends so, too: the engine is away."""

    async def cannot_connect() -> None:
        async with patience("the pull", 300):
            raise TimeoutError

    with pytest.raises(TimeoutError):
        await cannot_connect()
