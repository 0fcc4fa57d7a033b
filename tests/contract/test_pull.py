"""A pull is over when the image is here; why it is not tells whether another try may help."""

from __future__ import annotations

import pytest

from keelman.errors import EngineFailed, ImageNotFound
from keelman.progress import Progress
from keelman.seen import Absent, Missing, Present
from tests.contract.programs import TRUE
from tests.contract.registry import MANIFEST_CONTENT, digest
from tests.contract.worlds import World, a_task

REFERENCES = {"tag": ":1", "no tag": "", "digest": f"@{digest(MANIFEST_CONTENT)}"}


@pytest.mark.parametrize("reference", REFERENCES.values(), ids=REFERENCES)
async def test_a_pulled_image_is_here(world: World, reference: str) -> None:
    async with world.registry() as address:
        image = f"{address}/good{reference}"
        task = a_task(TRUE, image=image)
        assert (await world.runtime.look(task)).body == Absent(image=Missing())
        await world.runtime.pull(image)
        assert (await world.runtime.look(task)).body == Absent(image=Present())
        await world.runtime.pull(image)  # what is here already may be pulled again


async def test_a_pull_tells_how_far_it_is(world: World) -> None:
    """Last of all that everything is there; never less than before, never more than there is."""
    told: list[Progress] = []
    async with world.registry() as address:
        await world.runtime.pull(f"{address}/good:1", told.append)
    last = told[-1]
    assert (last.layers_done, last.layers, last.bytes_done) == (1, 1, last.bytes_total)
    assert [one.layers_done for one in told] == sorted(one.layers_done for one in told)
    for one in told:
        assert one.layers_done <= one.layers
        assert one.bytes_done <= one.bytes_total


async def test_no_tag_means_latest(world: World) -> None:
    async with world.registry() as address:
        await world.runtime.pull(f"{address}/good")
        task = a_task(TRUE, image=f"{address}/good:latest")
        assert (await world.runtime.look(task)).body == Absent(image=Present())


@pytest.mark.parametrize("name", ["unknown:1", "good:2", "Not A Name"])
async def test_an_image_that_the_registry_does_not_have_is_not_found(
    world: World, name: str
) -> None:
    async with world.registry() as address:
        with pytest.raises(ImageNotFound):
            await world.runtime.pull(f"{address}/{name}")


async def test_a_spoilt_layer_is_the_engines_failure(world: World) -> None:
    """The engine says it inside of an answer that began with 200."""
    async with world.registry() as address:
        image = f"{address}/spoilt:1"
        with pytest.raises(EngineFailed):
            await world.runtime.pull(image)
        assert (await world.runtime.look(a_task(TRUE, image=image))).body == Absent(image=Missing())


async def test_a_registry_that_is_down_is_the_engines_failure(world: World) -> None:
    async with world.registry() as address:
        pass
    with pytest.raises(EngineFailed):
        await world.runtime.pull(f"{address}/good:1")
