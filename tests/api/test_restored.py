"""A worker on a database that was put back: who listened to the one before is told so."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from uuid import uuid4

import pytest

from keelman.backup import back_up, restore
from keelman.runtime.fake import FakeEngine
from keelman.store import FILE_NAME
from tests.api.conftest import Served, an_event, serving
from tests.api.listening import listening


def by_command(copy: Path, directory: Path) -> None:
    restore(copy, directory, str(uuid4()))


def by_hand(copy: Path, directory: Path) -> None:
    shutil.copy(copy, directory / FILE_NAME)


def whole_directory(copy: Path, directory: Path) -> None:
    shutil.rmtree(directory)
    shutil.copytree(copy.parent / "directory", directory)


async def until_copied(directory: Path, engine: FakeEngine) -> Path:
    """A worker that had one task; the copies of its database from then."""
    async with serving(directory, engine) as served:
        await served.has_run("true")
    copy = directory.with_name("copy")
    shutil.copytree(directory, directory.with_name("directory"))
    back_up(directory, copy, str(uuid4()), replace=False)
    return copy


async def read_on(directory: Path, engine: FakeEngine) -> tuple[str, int]:
    """The same worker runs another task; the id of the last event, and its number."""
    async with serving(directory, engine) as served:
        await served.has_run("true")
        last = served.worker.db.last_seq()
        return f"{served.worker.db.log_id}:{last}", last


@pytest.mark.parametrize(
    "way", [by_command, by_hand, whole_directory], ids=lambda way: way.__name__
)
async def test_a_listener_to_the_log_before_is_sent_to_the_list(
    tmp_path: Path, engine: FakeEngine, way: Callable[[Path, Path], None]
) -> None:
    """Also when what it has read is there again under the same number."""
    directory = tmp_path / "data"
    copy = await until_copied(directory, engine)
    last_id, last = await read_on(directory, engine)
    way(copy, directory)
    async with serving(directory, engine) as served:
        await caught_up(served, last)
        answer = await served.get(f"/events?since={last_id}")
        assert answer.is_error(410, "events_gone")
        anew = (await served.get("/tasks")).headers["Last-Event-ID"]
        assert anew.rpartition(":")[0] != last_id.rpartition(":")[0]
        async with listening(served, last_id=anew) as listener:
            await served.has_run("true")
            seen = int(anew.rpartition(":")[2])
            assert [event.seq for event in await listener.events(3)] == [
                seen + 1,
                seen + 2,
                seen + 3,
            ]


async def caught_up(served: Served, last: int) -> None:
    while served.worker.db.last_seq() < last:
        await served.has_run("true")


async def test_a_listener_notices_nothing_of_an_ordinary_start(
    tmp_path: Path, engine: FakeEngine
) -> None:
    last_id, _ = await read_on(tmp_path, engine)
    async with serving(tmp_path, engine) as served, listening(served, last_id=last_id) as listener:
        await served.has_run("true")
        assert [event.seq for event in await listener.events(3)] == [4, 5, 6]


async def test_an_event_that_was_sent_before_the_copy_gets_its_answer(
    tmp_path: Path, engine: FakeEngine
) -> None:
    directory, event = tmp_path / "data", an_event(Command=["true"])
    async with serving(directory, engine) as served:
        first = await served.post(event)
    copy = tmp_path / "copy"
    back_up(directory, copy, str(uuid4()), replace=False)
    by_command(copy, directory)
    async with serving(directory, engine) as served:
        again = await served.post(event)
    assert (again.status, again.json) == (201, first.json)
