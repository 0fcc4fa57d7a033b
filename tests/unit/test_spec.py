"""What would be wrong with a Spec: each rule, and the field that it names."""

from __future__ import annotations

from typing import Any

import pytest

from keelman import spec as specs
from keelman.errors import BadField
from keelman.health import HealthCheck
from keelman.task import Empty, Mount
from tests.unit.given import a_spec

SOUND = [
    pytest.param({}, id="an image and a name"),
    pytest.param({"name": ""}, id="no name"),
    pytest.param({"name": "ü" * 255}, id="the longest name"),
    pytest.param({"image": "nginx"}, id="no tag"),
    pytest.param({"image": "library/nginx:1.27-alpine"}, id="a path and a tag"),
    pytest.param({"image": "localhost/x"}, id="localhost"),
    pytest.param({"image": "localhost:5000/x:y"}, id="a port"),
    pytest.param({"image": "Registry.Example/a_b/c__d.e--f"}, id="a host in capitals"),
    pytest.param({"image": "x@sha256:" + "0a" * 32}, id="a digest"),
    pytest.param({"image": "x:1@sha256:" + "0a" * 32}, id="a tag and a digest"),
    pytest.param({"command": ("sh", "-c", "echo 'a\nb'")}, id="a newline in a command"),
    pytest.param({"env": {"A": "x=y", "lower.case-too": ""}}, id="env"),
    pytest.param({"cpu": 0.01, "memory": 6 * 1024 * 1024}, id="the least amounts"),
    pytest.param({"exposed_ports": {"1/tcp": Empty(), "65535/sctp": Empty()}}, id="ports"),
    pytest.param({"port_bindings": {"80/tcp": "1", "80/udp": "1"}}, id="one port, two protocols"),
    pytest.param({"port_bindings": {"80/tcp": "65535"}}, id="the highest port"),
    pytest.param({"mounts": (Mount(source="/a", target="/b/../c"),)}, id="a mount"),
    pytest.param({"labels": {"app": "", "keelmanx": "y"}}, id="labels"),
    pytest.param({"restart_policy": "on-failure:1"}, id="on-failure once"),
    pytest.param({"restart_policy": "on-failure:999999999"}, id="on-failure for ever"),
    pytest.param({"stop_signal": "SIGTERM"}, id="a signal"),
    pytest.param({"stop_signal": "USR1"}, id="a signal without SIG"),
    pytest.param({"stop_signal": "SIGRTMIN+15"}, id="a real-time signal"),
    pytest.param({"stop_signal": "RTMAX-1"}, id="a real-time signal from above"),
    pytest.param({"stop_signal": "64"}, id="a signal's number"),
    pytest.param({"pull_policy": "missing"}, id="pull policy"),
    pytest.param({"user": "1000:www-data"}, id="user and group"),
]


@pytest.mark.parametrize("asked", SOUND)
def test_nothing_is_said_against_what_is_sound(asked: dict[str, Any]) -> None:
    assert list(specs.objections(a_spec(**asked))) == []
    specs.check(a_spec(**asked))


@pytest.mark.parametrize("policy", ["", "no", "always", "unless-stopped", "on-failure"])
def test_every_restart_policy_of_the_design_is_known(policy: str) -> None:
    specs.check(a_spec(restart_policy=policy))


WRONG = [
    ({"name": "a" * 256}, "Name: must be at most 255"),
    ({"name": "a\nb"}, "Name: "),
    ({"name": "a\x7fb"}, "Name: "),
    ({"image": ""}, "Image: is missing"),
    ({"image": "UPPER"}, "Image: 'UPPER' is no image name"),
    ({"image": "a b"}, "Image: "),
    ({"image": "a:"}, "Image: "),
    ({"image": "a:-x"}, "Image: "),
    ({"image": "a:" + "t" * 129}, "Image: "),
    ({"image": "/a"}, "Image: "),
    ({"image": "a//b"}, "Image: "),
    ({"image": "a@sha256:12"}, "Image: "),
    ({"image": "a\n"}, "Image: "),
    ({"image": "http://example.com/a"}, "Image: "),
    ({"image": "-rm"}, "Image: "),
    ({"image": "../a"}, "Image: "),
    ({"image": "a" * 513}, "Image: 'aaaa"),
    ({"command": ("a\0b",)}, "Command: must not contain a NUL"),
    ({"entrypoint": ("\0",)}, "Entrypoint: must not contain a NUL"),
    ({"user": "a\nb"}, "User: "),
    ({"env": {"": "x"}}, "Env: '' is no name"),
    ({"env": {"A=B": "x"}}, "Env: 'A=' is no name"),
    ({"env": {"A": "***"}}, "Env: 'A' is ***, which stands for a hidden value"),
    ({"env": {"A": "x\0"}}, "Env: 'A' is no name"),
    ({"cpu": 0.0099}, "Cpu: must be 0 (no limit) or at least 0.01 cores, not 0.0099"),
    ({"memory": 1}, "Memory: must be 0 (no limit) or at least 6291456 bytes"),
    ({"memory": 6 * 1024 * 1024 - 1}, "Memory: "),
    ({"exposed_ports": {"80": Empty()}}, "ExposedPorts: '80' is no port such as 80/tcp"),
    ({"exposed_ports": {"0/tcp": Empty()}}, "ExposedPorts: "),
    ({"exposed_ports": {"65536/tcp": Empty()}}, "ExposedPorts: "),
    ({"exposed_ports": {"080/tcp": Empty()}}, "ExposedPorts: "),
    ({"exposed_ports": {"80/TCP": Empty()}}, "ExposedPorts: "),
    ({"exposed_ports": {"80/icmp": Empty()}}, "ExposedPorts: "),
    ({"exposed_ports": {"80-90/tcp": Empty()}}, "ExposedPorts: "),
    ({"exposed_ports": {"80/tcp\n": Empty()}}, "ExposedPorts: "),
    ({"exposed_ports": {"\u0661/tcp": Empty()}}, "ExposedPorts: "),
    ({"port_bindings": {"http": "80"}}, "PortBindings: 'http' is no port"),
    ({"port_bindings": {"80/tcp": ""}}, "PortBindings: 80/tcp: '' is no host port"),
    ({"port_bindings": {"80/tcp": "0"}}, "PortBindings: 80/tcp: '0'"),
    ({"port_bindings": {"80/tcp": "65536"}}, "PortBindings: 80/tcp: '65536'"),
    ({"port_bindings": {"80/tcp": "99999999999"}}, "PortBindings: 80/tcp: "),
    ({"port_bindings": {"80/tcp": "127.0.0.1:80"}}, "PortBindings: 80/tcp: "),
    ({"port_bindings": {"80/tcp": "\u0661"}}, "PortBindings: 80/tcp: "),
    (
        {"port_bindings": {"80/tcp": "8080", "81/tcp": "8080"}},
        "PortBindings: host port 8080/tcp is bound twice",
    ),
    ({"mounts": (Mount(source="a", target="/b"),)}, "Mounts.Source: 'a' must be an absolute path"),
    ({"mounts": (Mount(source="", target="/b"),)}, "Mounts.Source: '' must be"),
    ({"mounts": (Mount(source="/a\0", target="/b"),)}, "Mounts.Source: "),
    ({"mounts": (Mount(source="/a", target="b"),)}, "Mounts.Target: 'b' must be"),
    ({"mounts": (Mount(source="/a", target="/"),)}, "Mounts.Target: '/' is the root"),
    ({"mounts": (Mount(source="/a", target="/b/.."),)}, "Mounts.Target: '/b/..' is the root"),
    (
        {"mounts": (Mount(source="/a", target="/x"), Mount(source="/b", target="/y/../x/"))},
        "Mounts.Target: '/y/../x/' is the root or mounted twice",
    ),
    ({"labels": {"": "x"}}, "Labels: '' must not be empty"),
    ({"labels": {"a": "\0"}}, "Labels: 'a' must not be empty or hold NUL"),
    ({"labels": {"keelman.": "x"}}, "Labels: 'keelman.': names that begin with keelman."),
    ({"labels": {"keelman.worker": "x"}}, "Labels: 'keelman.worker': "),
    ({"restart_policy": "Always"}, "RestartPolicy: 'Always' is none of no, always"),
    ({"restart_policy": "on-failure:0"}, "RestartPolicy: "),
    ({"restart_policy": "on-failure:-1"}, "RestartPolicy: "),
    ({"restart_policy": "on-failure:"}, "RestartPolicy: "),
    ({"restart_policy": "on-failure:N"}, "RestartPolicy: "),
    ({"restart_policy": "on-failure:1234567890"}, "RestartPolicy: "),
    ({"restart_policy": "no\n"}, "RestartPolicy: "),
    ({"pull_policy": "sometimes"}, "PullPolicy: 'sometimes' is none of"),
    ({"stop_signal": "SIGNOPE"}, "StopSignal: 'SIGNOPE' is no signal"),
    ({"stop_signal": "0"}, "StopSignal: "),
    ({"stop_signal": "65"}, "StopSignal: "),
    ({"stop_signal": "-9"}, "StopSignal: "),
    ({"stop_signal": "9" * 5000}, "StopSignal: "),
    ({"stop_signal": "\u0669"}, "StopSignal: "),
    ({"stop_signal": "RTMIN+16"}, "StopSignal: "),
    ({"stop_signal": "SIG"}, "StopSignal: "),
]


@pytest.mark.parametrize(
    ("asked", "words"),
    [pytest.param(asked, words, id=f"{str(asked)[:60]}") for asked, words in WRONG],
)
def test_what_is_wrong_is_named_by_its_field_with_what_would_be_right(
    asked: dict[str, Any], words: str
) -> None:
    first, *_ = specs.objections(a_spec(**asked))
    assert first.message.startswith(f"Task.{words}")
    assert len(first.message) < 300
    with pytest.raises(BadField):
        specs.check(a_spec(**asked))


WEB = {"exposed_ports": {"80/tcp": Empty()}}


@pytest.mark.parametrize(
    "asked",
    [
        {"disk": 1},
        {"read_only_rootfs": True},
        {"cap_add": ("NET_ADMIN", "CAP_SYS_TIME", "ALL")},
        {"cap_drop": ("ALL",)},
        {"network": "host"},
        {"network": "none"},
        {"network": "my-net_1.0"},
        {"pull_policy": "always"},
        {"health_check": "/health", **WEB},
        {"health_check": HealthCheck(), **WEB},
        {"health_check": HealthCheck(port=80), "port_bindings": {"80/tcp": "8080"}},
        {"health_check": HealthCheck(kind="tcp"), **WEB},
        {"health_check": HealthCheck(kind="command", command=("true",))},
    ],
    ids=str,
)
def test_it_is_well(asked: dict[str, Any]) -> None:
    assert list(specs.objections(a_spec(**asked))) == []


@pytest.mark.parametrize(
    ("asked", "field"),
    [
        ({"cap_add": ("net_admin",)}, "CapAdd"),
        ({"cap_drop": ("",)}, "CapDrop"),
        ({"network": "container:abc"}, "Network"),
        ({"network": "a b"}, "Network"),
        ({"network": "host", **WEB}, "Network"),
        ({"network": "none", **WEB}, "Network"),
        ({"health_check": "health", **WEB}, "HealthCheck.Path"),
        ({"health_check": "/a b", **WEB}, "HealthCheck.Path"),
        ({"health_check": "/health"}, "HealthCheck.Port"),
        ({"health_check": HealthCheck(port=81), **WEB}, "HealthCheck.Port"),
        ({"health_check": HealthCheck(kind="tcp")}, "HealthCheck.Port"),
        ({"health_check": HealthCheck(kind="command")}, "HealthCheck.Command"),
        ({"health_check": HealthCheck(kind="command", command=("a\0",))}, "HealthCheck.Command"),
    ],
    ids=str,
)
def test_it_is_not_well(asked: dict[str, Any], field: str) -> None:
    (objection,) = specs.objections(a_spec(**asked))
    assert objection.field == field


def test_all_that_is_wrong_is_said_at_once() -> None:
    spec = a_spec(image="", cpu=0.001, restart_policy="x", mounts=(Mount(source="", target=""),))
    fields = [objection.field for objection in specs.objections(spec)]
    assert fields == ["Image", "Cpu", "Mounts.Source", "Mounts.Target", "RestartPolicy"]
