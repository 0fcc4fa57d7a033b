"""`import keelman`: what it offers, and that it costs nothing until it is asked for."""

from __future__ import annotations

import subprocess
import sys

import pytest

import keelman
from keelman import Client, client


def loaded_by(statement: str) -> set[str]:
    """The modules that a new Python has loaded after a statement."""
    script = f"import sys; {statement}; print(*sys.modules)"
    read = subprocess.run(
        [sys.executable, "-c", script], text=True, capture_output=True, check=True
    )
    return set(read.stdout.split())


def test_the_client_is_at_hand() -> None:
    assert Client is client.Client
    assert "Client" in dir(keelman)


@pytest.mark.parametrize("name", keelman.__all__)
def test_what_is_offered_is_there(name: str) -> None:
    assert getattr(keelman, name).__name__ == name


def test_what_is_not_offered_is_not_there() -> None:
    with pytest.raises(AttributeError, match="no attribute 'frob'"):
        keelman.frob  # noqa: B018


def test_every_home_is_of_something_offered() -> None:
    homes = {name for names in keelman._HOMES.values() for name in names}
    assert homes == set(keelman.__all__)


@pytest.mark.parametrize(
    "statement", ["import keelman", "from keelman.task import Task", "from keelman import State"]
)
def test_a_small_part_does_not_load_an_http_client(statement: str) -> None:
    loaded = loaded_by(statement)
    assert "keelman" in loaded
    assert not {"aiohttp", "keelman.client"} & loaded


def test_the_client_does_not_load_a_worker() -> None:
    assert not {"keelman.worker", "aiodocker", "structlog"} & loaded_by(
        "from keelman import Client"
    )


def test_the_command_line_loads_no_worker_and_makes_no_keys_until_it_must() -> None:
    """How long `keelman ps` takes hangs on it."""
    loaded = loaded_by("import keelman.cli")
    assert not {"keelman.worker", "cryptography", "keelman.certs"} & loaded
    asked = "from keelman.cli import status; status(['ps', '--addr', 'http://127.0.0.1:1'])"
    assert not {"cryptography", "keelman.certs"} & loaded_by(asked)


def test_a_worker_without_tls_loads_nothing_that_reads_certificates() -> None:
    """It would be an eighth of its memory."""
    assert not {"cryptography", "keelman.certs"} & loaded_by("import keelman.cli.worker")


def test_a_manager_without_tls_loads_nothing_that_makes_certificates() -> None:
    """Nor does one that only could."""
    assert not {"cryptography", "keelman.certs"} & loaded_by("import keelman.cli.manager")
