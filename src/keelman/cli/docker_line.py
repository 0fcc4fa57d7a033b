"""The `docker run` line that would do what a task does. PURE.

What Docker has no option for is not left unsaid: `left_out` names it. The line carries none of the
worker's own labels, so what it starts is nobody's but the engine's.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import groupby
from shlex import quote

from keelman.hiding import HIDDEN
from keelman.runtime import guards
from keelman.task import Mount
from keelman.wire import TaskReport

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]+\Z")
Options = Iterator[tuple[str, ...]]


def options(task: TaskReport) -> Options:
    """`docker run`'s options, each with its value, in the order of the docs."""
    if _NAME.match(task.name):
        yield "--name", task.name
    yield from (("--env", _variable(key, value)) for key, value in task.env.items())
    yield from _limits(task)
    yield from _ports(task)
    yield from (("--mount", _mount(mount)) for mount in task.mounts)
    yield from _rights(task)
    labels = (pair for pair in task.labels.items() if "=" not in pair[0])
    yield from (("--label", f"{key}={value}") for key, value in labels)
    yield from _ends(task)
    if task.entrypoint:
        yield "--entrypoint", task.entrypoint[0]


def _variable(key: str, value: str) -> str:
    """A name alone takes the value that it has where the line is run."""
    return key if value == HIDDEN else f"{key}={value}"


def _limits(task: TaskReport) -> Options:
    if task.cpu:
        yield "--cpus", f"{task.cpu:.9f}".rstrip("0").rstrip(".")
    if task.memory:
        yield "--memory", str(task.memory)
        yield "--memory-swap", str(task.memory)  # no swap on top, as the worker has it
    if task.pids_limit:
        yield "--pids-limit", str(task.pids_limit)


def _ports(task: TaskReport) -> Options:
    for port in dict.fromkeys([*task.exposed_ports, *task.port_bindings]):
        bound = task.port_bindings.get(port)
        yield "--publish", f"{bound}:{port}" if bound else port


def _mount(mount: Mount) -> str:
    """In the form that takes any path, and makes no folder where there is none."""
    parts = ["type=bind", f"source={mount.source}", f"target={mount.target}"]
    return ",".join(map(_csv, [*parts, "readonly"] if mount.read_only else parts))


def _csv(field: str) -> str:
    return '"' + field.replace('"', '""') + '"' if re.search(r'[,"\r\n]', field) else field


def _rights(task: TaskReport) -> Options:
    if task.user:
        yield "--user", task.user
    if task.read_only_rootfs:
        yield ("--read-only",)
    yield from (("--cap-add", name) for name in task.cap_add)
    yield from (("--cap-drop", name) for name in task.cap_drop)
    if task.network:
        yield "--network", task.network
    if task.init:
        yield ("--init",)


def _ends(task: TaskReport) -> Options:
    if task.restart_policy:
        yield "--restart", task.restart_policy
    if task.stop_signal:
        yield "--stop-signal", task.stop_signal
    if task.stop_timeout is not None:
        yield "--stop-timeout", str(task.stop_timeout)
    if task.pull_policy:
        yield "--pull", task.pull_policy


def command(task: TaskReport) -> list[str]:
    """What follows the options: the image, and the words for its program."""
    return [task.image, *task.entrypoint[1:], *task.command]


def worker_options(task: TaskReport, pids_usual: int) -> Options:
    """What the worker adds to every container."""
    yield "--security-opt", guards.NO_NEW_PRIVILEGES
    if pids_usual and not task.pids_limit:
        yield "--pids-limit", str(pids_usual)
    yield "--oom-score-adj", str(guards.oom_score(task.memory))
    yield "--log-driver", guards.LOG_DRIVER
    yield from (("--log-opt", f"{key}={value}") for key, value in guards.LOG_OPTIONS.items())


def words(task: TaskReport, pids_usual: int) -> list[str]:
    """The whole line as the words that it is made of."""
    given = [word for option in _all_options(task, pids_usual) for word in option]
    return ["docker", "run", "--detach", *given, *command(task)]


def script(task: TaskReport, pids_usual: int) -> str:
    """The line for a POSIX shell, an option a line."""
    given = (" ".join(map(quoted, option)) for option in _all_options(task, pids_usual))
    return " \\\n  ".join(["docker run --detach", *given, " ".join(map(quoted, command(task)))])


def _all_options(task: TaskReport, pids_usual: int) -> Options:
    yield from options(task)
    yield from worker_options(task, pids_usual)


def quoted(word: str) -> str:
    """A word for a POSIX shell, without what would steer the terminal that it is shown on."""
    runs = groupby(word, lambda sign: sign.isprintable() or sign in "\n\t")
    parts = [(shown, "".join(signs)) for shown, signs in runs]
    return "".join(quote(part) if shown else _spelt(part) for shown, part in parts) or "''"


def _spelt(signs: str) -> str:
    octal = "".join(f"\\{byte:03o}" for byte in signs.encode())
    return f"\"$(printf '{octal}')\""


def left_out(task: TaskReport) -> list[str]:
    """The fields that the line does not carry, with why."""
    return list(_left_out(task))


def _ours(task: TaskReport) -> Iterator[str]:
    """What only Keelman does."""
    if task.timeout:
        yield f"Timeout {task.timeout}: Docker ends nothing by itself"
    if task.stop_after_disconnect:
        yield f"StopAfterDisconnect {task.stop_after_disconnect}: Docker knows nobody to be heard"
    if task.constraints:
        yield f"Constraints {', '.join(task.constraints)}: only a manager places tasks"
    if task.disk:
        yield f"Disk {task.disk}: a reservation, which only the worker keeps"
    if task.health_check:
        yield "HealthCheck: the worker checks, with its own rules"


def _left_out(task: TaskReport) -> Iterator[str]:
    if task.name and not _NAME.match(task.name):
        yield f"Name {task.name!r}: Docker takes no such name"
    for key in (key for key, value in task.env.items() if value == HIDDEN):
        yield f"Env {key!r}: the worker hides its value; set it where the line is run"
    yield from _ours(task)
    for key in task.labels:
        if "=" in key:
            yield f"Labels {key!r}: the option cannot have a = in its name"
