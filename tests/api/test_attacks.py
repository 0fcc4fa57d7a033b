"""Attacks on the port, over real sockets: each is answered as documented, and nothing comes of it.

After each the worker answers others, has logged nothing, and has no descriptor more than before.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import os
import random
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from hypothesis import strategies as st

from keelman import bounds
from keelman.runtime.fake import FakeEngine
from keelman.worker import Credentials
from tests.api.attacks import ATTACKS, BODY, HOST, JSON_HEAD, MANY, SMUGGLED, Attack
from tests.api.conftest import Served, an_event, until
from tests.api.rude import PROBE, answered
from tests.api.test_access import Guarded, guarded
from tests.fuzzing import drawn, times
from tests.unit.given_credentials import OLD, secret

AT_ONCE = 40
SINGLE = [attack for attack in ATTACKS if attack not in MANY]


@pytest.fixture(autouse=True)
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who has his answer is not listened to for long."""
    monkeypatch.setattr(bounds, "LINGER_SECONDS", 0.05)


@pytest.fixture
async def by_token(tmp_path: Path, engine: FakeEngine) -> AsyncIterator[Guarded]:
    file = secret(tmp_path / "tokens", f"manager-1 {OLD}\n")
    async with guarded(tmp_path, engine, Credentials(token_file=file)) as served:
        yield served


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))  # noqa: PTH208  # no paths are wanted


async def harmless(served: Served, before: int, caplog: pytest.LogCaptureFixture) -> None:
    """Nothing is left of what was sent, and others are served."""
    assert (await served.get("/livez")).status == 200
    await served.session.close()
    await until(lambda: served.connections == 0)
    await until(lambda: descriptors() <= before)
    assert [record.getMessage() for record in caplog.records] == []


async def statuses(served: Served, attack: Attack) -> str:
    """What is answered, as the table has it."""
    found = await answered(served.api.port, attack.sent, hang_up=attack.answer == "closed")
    return " ".join(str(status) for status in dict.fromkeys(found)) or "closed"


async def test_each_attack_is_answered_as_documented_and_starts_nothing(
    served: Served, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.INFO)
    before = descriptors()
    for attack in SINGLE:
        found = await statuses(served, attack)
        lost = found == "closed" and len(attack.sent) > bounds.LINE_MOST_BYTES
        assert found == attack.answer or lost, attack.name
    assert (await served.get("/tasks")).json == []
    assert served.engine.containers == {}
    await harmless(served, before, caplog)
    assert "internal_error" not in capsys.readouterr().out


async def test_a_stranger_is_told_nothing_by_any_attack(by_token: Guarded) -> None:
    """What is no HTTP is 400, all else 401: but for what is open to all."""
    for attack in SINGLE:
        found = await statuses(by_token, attack)
        assert found in ("400", "401", "closed", "200"), attack.name
        assert found != "200" or b"/livez" in attack.sent, attack.name


async def test_a_smuggled_request_is_not_answered(served: Served) -> None:
    """There is a task that it would stop."""
    task_id = await served.is_running()
    smuggled = SMUGGLED.replace(SMUGGLED.split()[1], f"/tasks/{task_id}".encode())
    assert await answered(served.api.port, smuggled, hang_up=False) == [204]  # openly, it would
    for attack in SINGLE:
        if SMUGGLED in attack.sent:
            other = await served.is_running()
            sent = attack.sent.replace(SMUGGLED, smuggled.replace(task_id.encode(), other.encode()))
            assert 204 not in await answered(served.api.port, sent, hang_up=False), attack.name
            assert (await served.get(f"/tasks/{other}")).json["State"] == 2, attack.name


@pytest.mark.slow
@pytest.mark.parametrize("attack", MANY, ids=lambda attack: attack.name)
async def test_thousands_of_requests_at_once_are_answered_one_by_one(
    served: Served, attack: Attack
) -> None:
    """Somebody else is served between them."""
    async with asyncio.TaskGroup() as group:
        sending = group.create_task(statuses(served, attack))
        for _ in range(20):
            assert (await served.post(an_event(Command=["true"]))).status == 201
        assert not sending.done()
    assert sending.result() == attack.answer


# -- chance --------------------------------------------------------------------------------------

PIECES = [
    *(
        b"GET",
        b"POST",
        b"DELETE",
        b" ",
        b"/tasks",
        b"/livez",
        b"/events",
        b"?",
        b"%",
        b"%00",
        b"//",
    ),
    *(b" HTTP/1.1", b" HTTP/1.0", b"\r\n", b"\n", b"\r", b"\0", b":", HOST, JSON_HEAD, BODY, PROBE),
    *(b"Content-Length: 5\r\n", b"Content-Length: 0\r\n", b"Transfer-Encoding: chunked\r\n"),
    *(
        b"0\r\n\r\n",
        b"5\r\n",
        b"Expect: 100-continue\r\n",
        b"Upgrade: h2c\r\n",
        b"{",
        b"\xff",
        SMUGGLED,
    ),
    *(b"Connection: close\r\n", b"Connection: keep-alive, Upgrade\r\n", b"Host: \r\n", b"\r\n\r\n"),
]
RUBBISH = st.one_of(
    st.binary(max_size=400),
    st.lists(st.sampled_from(PIECES), max_size=12).map(b"".join),
    st.lists(st.sampled_from(PIECES) | st.binary(max_size=6), max_size=12).map(b"".join),
)


def damaged(attack: bytes, dice: random.Random) -> bytes:
    """The same, with some bytes changed, dropped or doubled."""
    found = bytearray(attack[:4000])
    for _ in range(dice.randint(1, 4)):
        at = dice.randrange(len(found) + 1)
        found[at : at + dice.randint(0, 3)] = dice.randbytes(dice.randint(0, 3))
    return bytes(found)


def chance() -> list[bytes]:
    dice = random.Random(4711)
    changed = [damaged(dice.choice(SINGLE).sent, dice) for _ in range(times(200))]
    return [*drawn(RUBBISH, times(200)), *changed]


def batches(sent: list[bytes]) -> list[list[bytes]]:
    return [sent[at : at + AT_ONCE] for at in range(0, len(sent), AT_ONCE)]


@pytest.mark.parametrize("shut", [False, True], ids=["open", "shut"])
async def test_whatever_is_sent_there_is_no_500_and_nothing_is_left(
    tmp_path: Path,
    engine: FakeEngine,
    shut: bool,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """On a port that is open to all, and on one that is not. What never ends is ended."""
    monkeypatch.setattr(bounds, "IDLE_SECONDS", 0.1)
    monkeypatch.setattr(bounds, "BODY_SECONDS", 0.1)
    caplog.set_level(logging.INFO)
    file = secret(tmp_path / "tokens", f"manager-1 {OLD}\n")
    given = Credentials(token_file=file if shut else None)
    async with guarded(tmp_path, engine, given) as served:
        before, seen = descriptors(), set[int]()
        for some in batches(chance()):
            sending = (answered(served.api.port, sent, hang_up=False) for sent in some)
            seen.update(itertools.chain(*await asyncio.gather(*sending)))
        await harmless(served, before, caplog)
    open_to_all = {200, 201, 204, 400, 404, 405, 408, 409, 413, 415}
    assert {200, 400} < seen <= ({200, 400, 401} if shut else open_to_all)
    assert "internal_error" not in capsys.readouterr().out
