"""`keelman worker`: where its options come from, and which source wins."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from cyclopts import CycloptsError

from keelman.allowed import Allowed
from keelman.cli import app
from keelman.cli.failures import Usage
from keelman.cli.places import usual_data_dir
from keelman.cli.steady import steady_clock
from keelman.cli.worker import Given, docker_config, options
from keelman.invitation import Link, Token
from keelman.room import Offered
from keelman.worker import Credentials, WorkerOptions

LINK = Link("https://manager-1:5555", Token(bytes(16), bytes(32))).text


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in list(os.environ):
        if name.startswith("KEELMAN_") or name in ("DOCKER_HOST", "DOCKER_CONFIG"):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


def told(*words: str) -> WorkerOptions:
    _, bound, _ = app.parse_args(["worker", *words])
    return options(bound.arguments.get("given", Given()))


DOOR = 'tls-cert = "c"\ntls-key = "k"\ntls-ca = "ca"\nallow-client = ["a", "b"]\ntoken-file = "t"\n'
FILE = 'host = "file"\nport = 3\ndata-dir = "/file"\nkeep-ended-tasks = 30\nallow-mount = ["/a"]\n'


@pytest.fixture
def file(tmp_path: Path) -> str:
    path = tmp_path / "some.toml"
    path.write_text(f'[worker]\n{FILE}\n[manager]\nhost = "other"\n')
    return str(path)


def test_an_option_wins_over_the_environment_over_the_file(
    file: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KEELMAN_PORT", "2")
    monkeypatch.setenv("KEELMAN_HOST", "environment")
    given = told("--host", "option", "--config", file)
    assert (given.host, given.port, given.keep_ended_tasks) == ("option", 2, 30)
    assert given.keep_ended_hours == 24
    assert (given.data_dir, given.allowed.mounts) == (Path("/file"), ("/a",))


def test_what_the_environment_says_otherwise_than_the_file_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A shell that is set up for a client is not one to start a worker from."""
    path = tmp_path / "door.toml"
    path.write_text(f'[worker]\nport = 3\n{DOOR}docker-host = "unix:///file"\n')
    assert told("--config", str(path)).overridden == ()
    for name in ("KEELMAN_TLS_CERT", "KEELMAN_TLS_KEY", "KEELMAN_NAME", "DOCKER_HOST"):
        monkeypatch.setenv(name, "mine")
    given = told("--config", str(path), "--tls-key", "option")
    assert given.overridden == (
        f"KEELMAN_TLS_CERT is set, and tls-cert of {path} does not count",
        f"DOCKER_HOST is set, and docker-host of {path} does not count",
    )
    assert given.credentials.tls_cert == Path("mine")
    assert told().overridden == ()


def test_who_may_speak_may_stand_in_the_file(tmp_path: Path) -> None:
    path = tmp_path / "door.toml"
    path.write_text(f"[worker]\n{DOOR}")
    assert told("--config", str(path), "--token-file", "mine").credentials == Credentials(
        tls_cert=Path("c"),
        tls_key=Path("k"),
        tls_ca=Path("ca"),
        allow_client=("a", "b"),
        token_file=Path("mine"),
    )


def test_how_much_there_is_for_tasks_may_stand_in_the_file_as_a_number(tmp_path: Path) -> None:
    path = tmp_path / "room.toml"
    path.write_text('[worker]\ncpu = 2\nmemory = 16777216\ndisk = "1t"\n')
    offered = Offered(cpu=2.0, memory=16777216, disk=1 << 40)
    assert told("--config", str(path)).offered == offered
    assert told().offered == Offered()


def test_the_file_may_be_named_by_the_environment(
    file: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KEELMAN_CONFIG", file)
    assert told().port == 3


def test_a_file_that_was_not_named_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "keelman.toml").write_text("[worker]\nport = 3\n")
    assert told().port == 5556


@pytest.mark.parametrize(
    ("name", "value", "field", "result"),
    [
        ("HOST", "::1", "host", "::1"),
        ("PORT", "80", "port", 80),
        ("NAME", "w1", "name", "w1"),
        ("DATA_DIR", "/d", "data_dir", Path("/d")),
        ("TLS_CERT", "c.pem", "credentials", Credentials(tls_cert=Path("c.pem"))),
        ("TLS_KEY", "c.key", "credentials", Credentials(tls_key=Path("c.key"))),
        ("TLS_CA", "ca.pem", "credentials", Credentials(tls_ca=Path("ca.pem"))),
        ("ALLOW_CLIENT", "a b", "credentials", Credentials(allow_client=("a", "b"))),
        ("TOKEN_FILE", "t", "credentials", Credentials(token_file=Path("t"))),
        ("ALLOW_MOUNT", "/a:/b", "allowed", Allowed(mounts=("/a", "/b"))),
        ("ALLOW_IMAGE", "a/* b:1", "allowed", Allowed(images=("a/*", "b:1"))),
        ("ALLOW_CAP", "cap_kill ALL", "allowed", Allowed(capabilities=("KILL", "ALL"))),
        ("ALLOW_HOST_NETWORK", "true", "allowed", Allowed(host_network=True)),
        ("ALLOW_LOW_PORTS", "1", "allowed", Allowed(low_ports=True)),
        ("CPU", "1.5", "offered", Offered(cpu=1.5)),
        ("MEMORY", "1.5g", "offered", Offered(memory=3 << 29)),
        ("DISK", "200G", "offered", Offered(disk=200 << 30)),
        ("DEFAULT_PIDS_LIMIT", "0", "pids_usual", 0),
        ("START_SLOTS", "3", "start_slots", 3),
        ("KEEP_ENDED_HOURS", "0.5", "keep_ended_hours", 0.5),
        ("KEEP_ENDED_TASKS", "0", "keep_ended_tasks", 0),
        ("LOG_FORMAT", "json", "log_format", "json"),
        ("DOCKER_HOST", "tcp://e:1", "docker_host", "tcp://e:1"),
    ],
)
def test_every_option_has_its_variable(
    name: str, value: str, field: str, result: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(f"KEELMAN_{name}", value)
    assert getattr(told(), field) == result


def test_the_engine_is_named_by_docker_host(monkeypatch: pytest.MonkeyPatch) -> None:
    assert told().docker_host is None
    monkeypatch.setenv("DOCKER_HOST", "unix:///theirs")
    assert told().docker_host == "unix:///theirs"
    monkeypatch.setenv("KEELMAN_DOCKER_HOST", "unix:///ours")
    assert told().docker_host == "unix:///ours"
    assert told("--docker-host", "unix:///mine").docker_host == "unix:///mine"


def test_what_is_usual_on_this_machine_is_filled_in() -> None:
    given = told()
    assert (given.host, given.port) == ("127.0.0.1", 5556)
    assert given.name == os.uname().nodename
    assert given.start_slots == 2 * len(os.sched_getaffinity(0))


@pytest.mark.parametrize(
    ("user", "place"), [(0, "/var/lib/keelman"), (1000, "~/.local/share/keelman")]
)
def test_the_memory_is_in_the_users_place(
    user: int, place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: user)
    assert usual_data_dir() == Path(place)


def test_paths_are_made_whole() -> None:
    given = told("--data-dir", "~/d", "--allow-mount", "~/m", "--allow-mount", "/n")
    assert given.data_dir == Path.home() / "d"
    assert given.allowed.mounts == (str(Path.home() / "m"), "/n")


@pytest.mark.parametrize(
    "words",
    [
        *("--port x", "--port 70000", "--start-slots 0", "--keep-ended-hours -1"),
        *("--log-format xml", "--default-pids-limit -1", "--allow-cap NET-ADMIN", "--allow-cap="),
        *("--cpu 0", "--cpu nan", "--cpu inf", "--cpu -1", "--memory 0", "--memory 1x"),
        *("--memory 99999999t", "--disk -1", "--disk 0.1", "--disk="),
        *("--memory 1k", "--allow-cap FOO", "--allow-mount srv", "--allow-mount ./srv"),
        *("--allow-image http://x", "--allow-image nginx:", "--allow-image="),
    ],
)
def test_a_wrong_option_is_refused(words: str) -> None:
    with pytest.raises(CycloptsError):
        app.parse_args(["worker", *words.split()], exit_on_error=False, print_error=False)


def test_options_that_contradict_each_other_are_wrong_usage() -> None:
    """Before anything is set in motion."""
    with pytest.raises(Usage, match="go together"):
        app(["worker", "--tls-cert", "c.pem"], result_action="return_value", exit_on_error=False)


@pytest.mark.parametrize(
    ("words", "wrong"),
    [
        ("--join https://manager-1:5555/#c2VjcmV0", "no token"),
        ("--join c2VjcmV0", "no link"),
        (f"--join {LINK} --port 0", "--port"),
        (f"--join {LINK} --tls-ca ca.pem", "by joining"),
    ],
)
def test_a_link_that_cannot_be_meant_is_wrong_usage_and_not_told(words: str, wrong: str) -> None:
    """Before anything is set in motion."""
    with pytest.raises(Usage, match=wrong) as refused:
        app(["worker", *words.split()], result_action="return_value", exit_on_error=False)
    assert "c2VjcmV0" not in refused.value.message
    assert LINK not in refused.value.message


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ('[worker]\nallow-mount = ["srv"]\n', "absolute path"),
        ('[worker]\nallow-cap = ["NET_ADMIN", "FOO"]\n', "'FOO' is no capability"),
        ('[worker]\nallow-image = ["http://x"]\n', "no http://"),
        ('[worker]\nmemory = "1k"\n', "6m at least"),
        ("[worker]\nfrob = 1\n", "frob"),
        ('[worker]\nport = "x"\n', "port"),
        ('[worker]\nallow_client = ["a"]\n', "it is allow-client"),
        ("[worker", "is no TOML"),
        ("worker = 3\n", "must be a mapping"),
        (None, "No such file"),
    ],
)
def test_a_wrong_file_is_refused_by_name(content: str | None, words: str, tmp_path: Path) -> None:
    path = tmp_path / "wrong.toml"
    if content is not None:
        path.write_text(content)
    with pytest.raises(CycloptsError, match=words) as caught:
        told("--config", str(path))
    assert "wrong.toml" in str(caught.value)


def test_the_clock_does_not_go_back() -> None:
    clock = steady_clock()
    assert 1.7e9 < clock() <= clock()


# -- logins for registries -----------------------------------------------------------------------


def test_docker_keeps_its_logins_at_home(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/ann")
    assert told().docker_config == Path("/home/ann/.docker")


def test_the_folder_of_the_logins_may_be_told_as_docker_is_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HOME", "/home/ann")
    monkeypatch.setenv("DOCKER_CONFIG", "/docker")
    assert told().docker_config == Path("/docker")
    monkeypatch.setenv("KEELMAN_DOCKER_CONFIG", "/keelman")
    assert told().docker_config == Path("/keelman")
    assert told("--docker-config", "~/own").docker_config == Path("/home/ann/own")


def test_who_has_no_home_has_no_logins() -> None:
    """A user that no passwd file knows, as in a container."""
    assert docker_config(Path("~nobody-of-that-name/.docker")) is None
