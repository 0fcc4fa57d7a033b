"""What an engine that is not there is called: plain words, without a client's insides."""

from __future__ import annotations

from pathlib import Path

import pytest

from keelman.errors import EngineAway
from keelman.runtime.docker import DockerRuntime


async def test_a_call_to_an_engine_that_is_not_there(tmp_path: Path) -> None:
    runtime = DockerRuntime("w", f"unix://{tmp_path}/none.sock")
    with pytest.raises(EngineAway, match=r"^no answer from the engine: No such file or directory$"):
        await runtime.rows()
    await runtime.close()


async def test_a_stream_from_an_engine_that_refuses() -> None:
    runtime = DockerRuntime("w", "tcp://127.0.0.1:1")
    with pytest.raises(EngineAway, match=r"^no answer from the engine: Connection refused$"):
        async with runtime.changes():
            pass
    await runtime.close()
