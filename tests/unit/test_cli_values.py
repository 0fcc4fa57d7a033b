"""Values as they are written on the command line, and the Task that `run`'s options make."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from keelman.cli import values
from keelman.cli.failures import Usage
from keelman.cli.wanted import Wanted, merged, task_fields
from keelman.task import Spec

NOW = datetime(2026, 1, 31, 8, 0, tzinfo=UTC)
ENVIRON = {"HOME": "/root", "EMPTY": ""}


@pytest.mark.parametrize(
    ("text", "size"),
    [("64m", 64 << 20), ("1g", 1 << 30), ("1.5K", 1536), ("7b", 7), ("12", 12), ("2MiB", 2 << 20)],
)
def test_sizes_are_read_as_docker_reads_them(text: str, size: int) -> None:
    assert values.size(text, "--memory") == size


@pytest.mark.parametrize(
    ("text", "seconds"), [("90", 90), ("90s", 90), ("5m", 300), ("2h", 7200), ("1d", 86400)]
)
def test_times_are_read_in_seconds(text: str, seconds: int) -> None:
    assert values.seconds(text, "--timeout") == seconds


@pytest.mark.parametrize(
    ("text", "port"),
    [
        ("8080:80", ("80/tcp", "8080")),
        ("53:53/udp", ("53/udp", "53")),
        ("80", ("80/tcp", None)),
        ("53/udp", ("53/udp", None)),
    ],
)
def test_ports_name_the_containers_end(text: str, port: tuple[str, str | None]) -> None:
    assert values.port(text) == port


@pytest.mark.parametrize(
    ("text", "mount"),
    [
        ("/a:/b", {"Source": "/a", "Target": "/b"}),
        ("/a:/b:rw", {"Source": "/a", "Target": "/b"}),
        ("/a:/b:ro", {"Source": "/a", "Target": "/b", "ReadOnly": True}),
    ],
)
def test_volumes_are_source_and_target(text: str, mount: dict[str, object]) -> None:
    assert values.mount(text) == mount


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("10m", NOW.timestamp() - 600),
        ("2026-01-31T07:00Z", NOW.timestamp() - 3600),
        ("1769846400", 1769846400.0),
        ("1769846400.5", 1769846400.5),
    ],
)
def test_a_moment_is_ago_or_a_date_or_seconds(text: str, moment: float) -> None:
    assert values.moment(text, NOW) == moment


@pytest.mark.parametrize(
    "wrong",
    [
        {"memory": "lots"},
        {"memory": "-1m"},
        {"timeout": "soon"},
        {"stop_timeout": "1.5"},
        {"publish": ["80:"]},
        {"publish": ["127.0.0.1:80:80"]},
        {"publish": ["80/icmp"]},
        {"publish": ["8080:80", "8081:80"]},
        {"volume": ["/a"]},
        {"volume": ["/a:/b:rx"]},
        {"volume": [":/b"]},
        {"env": ["=x"]},
        {"env": ["UNSET"]},
        {"label": ["=x"]},
    ],
    ids=str,
)
def test_what_cannot_be_read_is_told_with_its_option(wrong: dict[str, Any]) -> None:
    (option,) = wrong
    with pytest.raises(Usage, match=f"^--{option.replace('_', '-')}: "):
        task_fields(Wanted(**wrong), "img", (), ENVIRON)


def test_a_date_that_is_none_is_told() -> None:
    with pytest.raises(Usage, match=r"^--since: 'yesterday'"):
        values.moment("yesterday", NOW)


def test_options_not_given_are_left_out() -> None:
    assert task_fields(Wanted(), "img", (), ENVIRON) == {"Image": "img"}


EVERYTHING = Wanted(
    name="web",
    env=["A=1=2", "HOME", "EMPTY", "B="],
    publish=["8080:80", "443", "53:53/udp"],
    volume=["/srv:/www:ro"],
    label=["team=blue", "bare"],
    cpus=0.5,
    memory="64m",
    pids_limit=10,
    user="1000:1000",
    read_only=True,
    cap_add=["NET_ADMIN"],
    cap_drop=["MKNOD", "CHOWN"],
    network="none",
    entrypoint="/bin/sh",
    init=True,
    restart="on-failure:3",
    stop_signal="SIGINT",
    stop_timeout="0",
    timeout="1h",
    pull="never",
)
ALL_FIELDS = {
    "Name": "web",
    "Image": "img",
    "Command": ["-c", "exit 3"],
    "Entrypoint": ["/bin/sh"],
    "Env": {"A": "1=2", "HOME": "/root", "EMPTY": "", "B": ""},
    "Cpu": 0.5,
    "Memory": 64 << 20,
    "PidsLimit": 10,
    "ExposedPorts": {"443/tcp": {}},
    "PortBindings": {"80/tcp": "8080", "53/udp": "53"},
    "Mounts": [{"Source": "/srv", "Target": "/www", "ReadOnly": True}],
    "User": "1000:1000",
    "Labels": {"team": "blue", "bare": ""},
    "ReadOnlyRootfs": True,
    "CapAdd": ["NET_ADMIN"],
    "CapDrop": ["MKNOD", "CHOWN"],
    "Network": "none",
    "Init": True,
    "RestartPolicy": "on-failure:3",
    "StopSignal": "SIGINT",
    "StopTimeout": 0,
    "Timeout": 3600,
    "PullPolicy": "never",
}


def test_every_option_has_its_field() -> None:
    assert task_fields(EVERYTHING, "img", ("-c", "exit 3"), ENVIRON) == ALL_FIELDS


def test_the_fields_are_those_of_the_wire() -> None:
    assert msgspec.convert(ALL_FIELDS, Spec).name == "web"


def test_options_win_over_the_file_and_maps_are_merged() -> None:
    file = {"ID": "x", "Image": "old", "Env": {"A": "0", "B": "0"}, "Cpu": 1}
    after = merged(file, {"Image": "new", "Env": {"A": "1"}})
    assert after == {"ID": "x", "Image": "new", "Env": {"A": "1", "B": "0"}, "Cpu": 1}
