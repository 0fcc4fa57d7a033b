"""Every version of the schema that was released: it stays as it was, and can be read for ever.

tests/data has a database of each as its own worker left it, and what that worker said of it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from keelman import schema
from keelman.backup import back_up, restore
from keelman.db import Db
from keelman.errors import CannotCopy, CannotStart, TaskEnded
from keelman.listing import Listing
from keelman.queue import Queue
from keelman.schema import MIGRATIONS
from keelman.store import FILE_NAME, Store
from keelman.task import State
from keelman.wire import decode_event, encode_task, encode_transition
from tests.unit.dumps import dump, load
from tests.unit.given import NOW
from tests.unit.given_store import new_id, open_store, peek, record

DATA = Path(__file__).parents[1] / "data"
# A released script is never edited: what it made is on disks. Another version is another script,
# with its digest here and its dump in tests/data (`make.py` there).
RELEASED = ("26f11b9b18acad6a2bdb3e7ca645b3d6b1e139fc92f7bca2e3a2f43689ef3f9a",)
VERSIONS = range(1, len(RELEASED) + 1)


def digest(script: str) -> str:
    """Of its words: where lines break is of no matter."""
    return hashlib.sha256(" ".join(script.split()).encode()).hexdigest()


def historic(version: int, directory: Path) -> Path:
    """A data directory of that version."""
    directory.mkdir(exist_ok=True)
    load((DATA / f"store_v{version}.sql").read_text(encoding="utf-8"), directory / FILE_NAME)
    return directory


def said(version: int) -> dict[str, Any]:
    """What the worker of that version said of it."""
    told: dict[str, Any] = json.loads((DATA / f"store_v{version}.json").read_text(encoding="utf-8"))
    return told


@pytest.fixture(params=VERSIONS, ids=lambda version: f"v{version}")
def version(request: pytest.FixtureRequest) -> int:
    found: int = request.param
    return found


@pytest.fixture
def old(version: int, tmp_path: Path) -> Iterator[Store]:
    """A store of that version, opened by the code of today."""
    store = open_store(historic(version, tmp_path))
    yield store
    store.close()


def same(told: Any, now: Any) -> None:  # noqa: ANN401  # JSON
    """What was told then is told now; a later version may tell more."""
    if isinstance(told, dict):
        assert told.keys() <= now.keys()
        for key, value in told.items():
            same(value, now[key])
    else:
        assert now == told


# -- what was released ---------------------------------------------------------------------------


def test_a_released_script_is_never_edited() -> None:
    assert tuple(digest(script) for script in MIGRATIONS[: len(RELEASED)]) == RELEASED


def test_every_version_has_its_digest_and_its_dump() -> None:
    assert len(MIGRATIONS) == len(RELEASED)
    kept = {path.name for path in DATA.glob("store_v*")}
    assert kept == {f"store_v{version}.{kind}" for version in VERSIONS for kind in ("sql", "json")}


def test_a_dump_is_the_database(version: int, tmp_path: Path) -> None:
    """Row numbers, bytes and version included: else the tests below would be about another one."""
    text = (DATA / f"store_v{version}.sql").read_text(encoding="utf-8")
    load(text, tmp_path / FILE_NAME)
    assert dump(tmp_path / FILE_NAME) == text


def test_the_history_is_worth_its_name(version: int) -> None:
    """Tasks in every state, one adopted and asked for since, the rest of one cleaned away."""
    text = (DATA / f"store_v{version}.sql").read_text(encoding="utf-8")
    assert {task["State"] for task in said(version)["Tasks"]} == set(State)
    for needed in (
        "INTO tombstones",
        "INTO task_events",
        "queue (rowid, task_id, seq, wish) VALUES (-",
    ):
        assert needed in text


# -- read and served -----------------------------------------------------------------------------


def test_an_old_database_is_of_todays_version_once_it_is_opened(old: Store) -> None:
    assert schema.version(old._writer) == len(MIGRATIONS)
    assert schema.objection(old._writer) == ""


def test_old_tasks_are_listed_as_they_were(old: Store, version: int) -> None:
    """In their order; those not taken up yet as PENDING."""
    now = json.loads(Db(old).listed().body)
    told = said(version)["Tasks"]
    assert [task["ID"] for task in now] == [task["ID"] for task in told]
    for before, after in zip(told, now, strict=True):
        same(before, after)


def test_old_records_are_whole(old: Store, version: int) -> None:
    """What a report does not tell is there, too: they are read and written as the same."""
    for task_id, packed in old.read("SELECT task_id, task FROM tasks"):
        task = Db(old).get(task_id)
        assert task is not None
        same(json.loads(packed), json.loads(msgspec.json.encode(task)))
    for task_id, packed in old.read("SELECT task_id, wish FROM queue"):
        same(json.loads(packed), json.loads(msgspec.json.encode(Queue(old).get(task_id))))


def test_old_pages_go_on_where_they_ended(old: Store, version: int) -> None:
    told = [task["ID"] for task in said(version)["Tasks"]]
    for place, task_id in enumerate(told):
        page = Db(old).listed(Listing(after=task_id, limit=2))
        assert [task["ID"] for task in json.loads(page.body)] == told[place + 1 : place + 3]


def test_old_histories_are_told_as_they_were(old: Store, version: int) -> None:
    for task_id, told in said(version)["Transitions"].items():
        now = [json.loads(encode_transition(move)) for move in Db(old).history(task_id)]
        assert len(now) == len(told)
        for before, after in zip(told, now, strict=True):
            same(before, after)


def test_the_old_log_goes_on(old: Store) -> None:
    moves = Db(old).transitions(0)
    assert [move.seq for move in moves] == list(range(1, Db(old).last_seq() + 1))


async def test_numbers_go_on(old: Store) -> None:
    last = Db(old).last_seq()
    await record(old, 1)
    assert Db(old).last_seq() == last + 1


async def test_an_old_event_gets_its_old_answer(old: Store, version: int) -> None:
    """Sent again it changes nothing; of a task that is over for good it is refused."""
    waiting = Queue(old).waiting()
    for one in said(version)["Events"]:
        event = decode_event(json.dumps(one["Event"]).encode())
        if one["Answer"] is None:
            with pytest.raises(TaskEnded):
                await Queue(old).put(event, NOW)
        else:
            assert json.loads((await Queue(old).put(event, NOW)).answer) == one["Answer"]
    assert Queue(old).waiting() == waiting


def test_old_wishes_wait(old: Store, version: int) -> None:
    """Those that were not served yet."""
    pending = {task["ID"] for task in said(version)["Tasks"] if task["State"] == State.PENDING}
    assert pending <= set(Queue(old).waiting())


def test_an_old_report_is_the_one_of_today(old: Store) -> None:
    """What is served is kept ready; a version that tells more has to make it anew."""
    for task_id, report in old.read("SELECT task_id, report FROM tasks"):
        task = Db(old).get(task_id)
        assert task is not None
        assert json.loads(report) == json.loads(encode_task(task))


# -- the way from one to the next ----------------------------------------------------------------

NEXT = "ALTER TABLE tombstones ADD COLUMN why TEXT; CREATE INDEX k_why ON tombstones (why);"
AFTER_NEXT = "UPDATE tombstones SET why = 'old age';"
BROKEN = "DELETE FROM transitions; CREATE TABLE meta (x);"


def with_scripts(monkeypatch: pytest.MonkeyPatch, *scripts: str) -> int:
    """A Keelman that knows more versions; the newest of them."""
    monkeypatch.setattr(schema, "MIGRATIONS", (*MIGRATIONS, *scripts))
    return len(MIGRATIONS) + len(scripts)


def without_log_id(text: str) -> list[str]:
    return [line for line in text.splitlines() if "'log_id'" not in line]


def version_of(path: Path) -> object:
    return peek(path.parent, "PRAGMA user_version")[0][0]


def test_an_older_database_is_brought_up_to_date_once(
    version: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    historic(version, tmp_path)
    newest = with_scripts(monkeypatch, NEXT, AFTER_NEXT)
    for _ in range(2):
        open_store(tmp_path).close()
        assert peek(tmp_path, "SELECT DISTINCT why FROM tombstones") == [("old age",)]
    assert version_of(tmp_path / FILE_NAME) == newest


def test_a_copy_is_kept_of_what_is_changed(
    version: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = dump(historic(version, tmp_path) / FILE_NAME)
    newest = with_scripts(monkeypatch, NEXT)
    open_store(tmp_path).close()
    kept = tmp_path / f"{FILE_NAME}.before-{newest}"
    assert without_log_id(dump(kept)) == without_log_id(before)
    assert kept.stat().st_mode & 0o777 == 0o600
    as_it_was = kept.read_bytes()
    open_store(tmp_path).close()
    assert kept.read_bytes() == as_it_was  # the second start has nothing to change


def test_a_new_database_has_nothing_to_keep(tmp_path: Path) -> None:
    open_store(tmp_path).close()
    assert not list(tmp_path.glob("*before*"))


def test_without_a_copy_nothing_is_changed(
    version: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = dump(historic(version, tmp_path) / FILE_NAME)
    newest = with_scripts(monkeypatch, NEXT)
    (tmp_path / f"{FILE_NAME}.before-{newest}").mkdir()  # no file can be put there
    with pytest.raises(CannotStart, match="cannot be used"):
        open_store(tmp_path)
    assert dump(tmp_path / FILE_NAME) == before
    assert not list(tmp_path.glob(".*"))


@pytest.mark.parametrize("scripts", [[BROKEN], [NEXT, BROKEN]], ids=["one", "the second of two"])
def test_a_migration_is_whole_or_not_at_all(
    version: int, scripts: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = dump(historic(version, tmp_path) / FILE_NAME)
    with_scripts(monkeypatch, *scripts)
    for _ in range(2):
        with pytest.raises(CannotStart, match="meta already exists"):
            open_store(tmp_path)
        assert dump(tmp_path / FILE_NAME) == before
    monkeypatch.undo()
    open_store(tmp_path).close()  # the Keelman of before goes on with it


def test_a_log_outlives_a_migration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Listeners notice nothing of an upgrade."""
    store = open_store(tmp_path)
    log_id = Db(store).log_id
    store.close()
    with_scripts(monkeypatch, NEXT)
    store = open_store(tmp_path)
    assert (Db(store).log_id, store.new_log) == (log_id, "")
    store.close()


def test_a_newer_database_is_refused_and_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        newest = with_scripts(patch, NEXT)
        open_store(tmp_path).close()
    before = dump(tmp_path / FILE_NAME)
    words = f"is of version {newest}; this Keelman knows {len(MIGRATIONS)}"
    for _ in range(2):  # refused, it holds no lock
        with pytest.raises(CannotStart, match=words):
            open_store(tmp_path)
    with pytest.raises(CannotCopy, match=words):
        back_up(tmp_path, tmp_path / "copy", new_id(), replace=False)
    with pytest.raises(CannotCopy, match=words):
        restore(tmp_path / FILE_NAME, tmp_path / "elsewhere", new_id())
    assert dump(tmp_path / FILE_NAME) == before
    assert not (tmp_path / "elsewhere").exists()


def test_the_copy_from_before_is_the_way_back(
    version: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To the Keelman of before, which refuses what the newer one made of its database."""
    historic(version, tmp_path)
    with monkeypatch.context() as patch:
        newest = with_scripts(patch, NEXT)
        open_store(tmp_path).close()
    restore(tmp_path / f"{FILE_NAME}.before-{newest}", tmp_path, new_id())
    store = open_store(tmp_path)
    assert store.new_log == "a backup was restored"
    told = [task["ID"] for task in said(version)["Tasks"]]
    assert [task["ID"] for task in json.loads(Db(store).listed().body)] == told
    store.close()


def test_a_backup_of_an_older_version_can_be_restored(
    version: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = tmp_path / "copy"
    made = back_up(historic(version, tmp_path / "old"), copy, new_id(), replace=False)
    assert made.tasks == len(said(version)["Tasks"])
    newest = with_scripts(monkeypatch, NEXT)
    restore(copy, tmp_path / "new", new_id())
    store = open_store(tmp_path / "new")
    assert schema.version(store._writer) == newest
    assert len(json.loads(Db(store).listed().body)) == made.tasks
    store.close()
