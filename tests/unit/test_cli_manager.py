"""`keelman manager`: its options; `keelman node`: how nodes look, and what is sent."""

from __future__ import annotations

import os
import shlex
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from cyclopts import CycloptsError

from keelman.cli import app, worker
from keelman.cli.failures import Usage
from keelman.cli.manager import Given, options
from keelman.cli.node import _label, joining_line, node_page, node_table
from keelman.cli.places import usual_data_dir
from keelman.door import Credentials
from keelman.errors import CannotStart
from keelman.invitation import Link, Token
from keelman.machine import Resources
from keelman.manager import Limits, ManagerOptions, NodeCredentials
from keelman.manager.nodes import Patience
from keelman.manager.scheduler import Strategy
from keelman.manager.serve import connector
from keelman.node_report import NodeReport
from tests.unit.given_credentials import secret
from tests.unit.test_cli_show import NOW, lines


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in list(os.environ):
        if name.startswith("KEELMAN_"):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


def told(*words: str) -> ManagerOptions:
    _, bound, _ = app.parse_args(["manager", *words])
    return options(bound.arguments.get("given", Given()))


# -- options ---------------------------------------------------------------------------------------


def test_what_is_usual() -> None:
    """Beside a worker's own memory, not in it."""
    usual = told()
    folder = usual_data_dir().with_name("keelman-manager").expanduser().absolute()
    assert usual == ManagerOptions(data_dir=folder)
    assert (usual.port, usual.limits) == (5555, Limits())


def test_values_of_env_are_shown_where_that_is_said() -> None:
    """And reads are in the audit log; neither is usual."""
    report = b'{"ID":"a","Env":{"KEY":"value"}}'
    assert b"value" not in told().limits.show(report)
    assert told("--show-env").limits.show(report) == report
    assert (told("--audit-reads").audit_reads, told().audit_reads) == (True, False)


def test_all_that_can_be_told() -> None:
    """On the command line."""
    given = told(
        *("--data-dir", "/m", "--port", "1", "--host", "::1", "--strategy", "bin-pack"),
        *("--suspect-seconds", "3", "--lost-seconds", "9", "--keep-ended-hours", "2"),
        *("--keep-ended-tasks", "7", "--node-ca", "ca", "--node-cert", "c", "--node-key", "k"),
        *("--node-ca-key", "kk"),
        *("--node-token-file", "t", "--tls-cert", "x", "--tls-key", "y", "--tls-ca", "z"),
        *("--allow-client", "a", "--token-file", "u", "--log-format", "json"),
    )
    assert given == ManagerOptions(
        data_dir=Path("/m"),
        port=1,
        host="::1",
        limits=Limits(
            strategy=Strategy.BIN_PACK,
            patience=Patience(suspect_seconds=3, lost_seconds=9),
            keep_ended_seconds=7200,
            keep_ended_tasks=7,
        ),
        node_credentials=NodeCredentials(
            ca=Path("ca"),
            cert=Path("c"),
            key=Path("k"),
            token_file=Path("t"),
            ca_key=Path("kk"),
        ),
        credentials=Credentials(
            tls_cert=Path("x"),
            tls_key=Path("y"),
            tls_ca=Path("z"),
            allow_client=("a",),
            token_file=Path("u"),
        ),
        log_format="json",
    )


def test_options_come_from_the_environment_and_a_file(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Of the file only the manager's section is read."""
    file = tmp_path / "some.toml"
    file.write_text("[worker]\nport = 1\n[manager]\nport = 2\nlost-seconds = 90.0\n")
    monkeypatch.setenv("KEELMAN_STRATEGY", "bin-pack")
    given = told("--config", str(file))
    assert (given.port, given.limits.patience.lost_seconds) == (2, 90.0)
    assert given.limits.strategy is Strategy.BIN_PACK


@pytest.mark.parametrize(
    ("words", "told_of"),
    [
        (("--suspect-seconds", "30", "--lost-seconds", "10"), "10 is before --suspect-seconds, 30"),
        (("--suspect-seconds", "90"), "60 is before --suspect-seconds, 90"),
    ],
)
def test_who_is_lost_was_suspect_before(words: tuple[str, ...], told_of: str) -> None:
    with pytest.raises(Usage, match=f"--lost-seconds: {told_of}"):
        told(*words)


@pytest.mark.parametrize(
    "words", [["--port", "70000"], ["--strategy", "x"], ["--lost-seconds", "0"]]
)
def test_what_makes_no_sense_is_refused(words: list[str]) -> None:
    with pytest.raises(CycloptsError):
        app.parse_args(["manager", *words], exit_on_error=False, print_error=False)


def test_a_key_without_its_certificate_is_refused() -> None:
    with pytest.raises(CannotStart):
        connector(NodeCredentials(key=Path("k")))


def test_a_token_is_shown_to_nodes(tmp_path: Path) -> None:
    """One that is not whole is refused before anything starts, and its file is named."""
    file = secret(tmp_path / "token", "short")
    with pytest.raises(CannotStart, match="token"):
        connector(NodeCredentials(token_file=file))


# -- nodes -----------------------------------------------------------------------------------------


def a_node(**fields: Any) -> NodeReport:
    usual: dict[str, Any] = {
        "name": "node-1",
        "url": "http://10.0.0.1:5556",
        "labels": {"zone": "eu", "disk": "ssd"},
        "status": "ready",
        "use": "open",
        "trouble": "",
        "worker": "w",
        "version": "0.1.0",
        "heard": NOW - timedelta(seconds=3),
        "tasks": ("t1", "t2"),
        "capacity": Resources(cpu=4.0, memory=2**32, disk=2**40),
        "left": Resources(cpu=1.5, memory=2**31, disk=2**40),
    }
    return NodeReport(**{**usual, **fields})


def shown(node: NodeReport) -> list[str]:
    return [" ".join(line.split()) for line in lines(node_page(node, NOW))]


def test_nodes_are_listed_one_a_line() -> None:
    table = [" ".join(line.split()) for line in lines(node_table([a_node(), a_node(name="b")]))]
    assert table == [
        "NAME STATUS USE TASKS CPU LEFT MEMORY LEFT LABELS URL",
        "node-1 ready open 2 1.5 2.0 GiB disk=ssd, zone=eu http://10.0.0.1:5556",
        "b ready open 2 1.5 2.0 GiB disk=ssd, zone=eu http://10.0.0.1:5556",
    ]


def test_a_page_tells_all_of_a_node() -> None:
    assert shown(a_node()) == [
        "node-1 ready, open",
        "URL http://10.0.0.1:5556",
        "Worker w, keelman 0.1.0",
        "Heard 3s ago",
        "Usable yes",
        "Labels disk=ssd",
        "zone=eu",
        "Has 4 cores, 4.0 GiB memory, 1.0 TiB disk",
        "Left 1.5 cores, 2.0 GiB memory, 1.0 TiB disk",
        "Tasks t1",
        "t2",
    ]


def test_a_node_that_was_not_met_says_so() -> None:
    page = shown(a_node(worker="", labels={}, tasks=(), trouble="it is not ready"))
    assert "Worker not met yet" in page
    assert "Usable it is not ready" in page
    assert {"Labels none", "Tasks none"} <= set(page)


def test_what_is_no_label_is_refused() -> None:
    assert _label("zone=eu=1") == ("zone", "eu=1")
    for text in ("zone", "=eu"):
        with pytest.raises(Usage):
            _label(text)


# -- the line by which a worker joins --------------------------------------------------------------

TOKEN = Token(bytes(16), bytes(32))


@pytest.mark.parametrize(
    ("name", "manager", "line"),
    [
        (
            "node-4",
            "https://192.0.2.1:5555",
            "keelman worker --name node-4 --host 0.0.0.0 --join 'https://192.0.2.1:5555/#{}'",
        ),
        ("", "https://127.0.0.1:5555", "keelman worker --join 'https://127.0.0.1:5555/#{}'"),
        ("a", "http://localhost:1", "keelman worker --name a --join 'http://localhost:1/#{}'"),
    ],
)
def test_a_line_is_printed_as_a_shell_takes_it(name: str, manager: str, line: str) -> None:
    """Where other machines are to reach the worker, it listens for them."""
    assert joining_line(name, Link(manager, TOKEN)) == line.format(TOKEN.text)


def test_the_line_is_one_that_a_worker_understands() -> None:
    """Word by word."""
    words = shlex.split(joining_line("node-4", Link("https://192.0.2.1:5555", TOKEN)))
    _, bound, _ = app.parse_args(words[1:], exit_on_error=False, print_error=False)
    told = worker.options(bound.arguments["given"])
    assert (told.name, told.host, told.port) == ("node-4", "0.0.0.0", 5556)
    assert told.join == Link("https://192.0.2.1:5555", TOKEN)
    told.check()
