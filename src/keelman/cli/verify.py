"""`keelman verify`: what a worker has on record and what its engine has, held to the invariants."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter
from cyclopts.validators import Number
from rich.text import Text

from keelman.audit import INVARIANTS, Finding, Invariant, audit, lasting
from keelman.cli import show
from keelman.cli.asking import Json
from keelman.cli.failures import FOUND
from keelman.cli.places import usual_data_dir
from keelman.cli.steady import steady_clock
from keelman.cli.worker import certs_of_docker
from keelman.facts import Facts
from keelman.onlooker import facts_of, record_in
from keelman.runtime.docker import DockerRuntime
from keelman.values import Value
from keelman.worker.serve import engine_tls

_DataDir = Annotated[
    Path | None,
    Parameter(
        help="The worker's memory. Usually where keelman worker has it.",
        env_var="KEELMAN_DATA_DIR",
        show_env_var=False,
    ),
]
_DockerHost = Annotated[
    str | None,
    Parameter(
        help="The engine. Usually its socket.",
        env_var=("KEELMAN_DOCKER_HOST", "DOCKER_HOST"),
        show_env_var=False,
    ),
]
_DockerCerts = Annotated[
    Path | None,
    Parameter(
        help="The folder with ca.pem, cert.pem, key.pem for an engine that speaks TLS.",
        env_var="KEELMAN_DOCKER_CERTS",
        show_env_var=False,
    ),
]
_Wait = Annotated[
    float,
    Parameter(help="Seconds between its two looks.", validator=Number(gte=0, lte=3600)),
]


class Checked(Value, frozen=True, kw_only=True):
    """One invariant: what was looked at, and what was found."""

    invariant: str
    rule: str
    looked_at: str
    findings: tuple[Finding, ...]


class Audited(Value, frozen=True, kw_only=True):
    """What an audit came to."""

    worker: str
    data_dir: str
    engine: str
    sound: bool
    invariants: tuple[Checked, ...]


async def verify(
    *,
    data_dir: _DataDir = None,
    docker_host: _DockerHost = None,
    docker_certs: _DockerCerts = None,
    wait: _Wait = 2.0,
    json: Json = False,
) -> int:
    """Audit a worker of this machine: its record and its engine, against what it promises."""
    directory = (data_dir or usual_data_dir()).expanduser().absolute()
    facts, findings = await _looked_twice(
        directory, docker_host, docker_certs or certs_of_docker(), wait
    )
    audited = _audited(directory, facts, findings)
    if json:
        show.json(audited)
    else:
        show.put(page(audited))
    return 0 if audited.sound else FOUND


async def _looked_twice(
    directory: Path, docker_host: str | None, certs: Path | None, wait: float
) -> tuple[Facts, list[Finding]]:
    """The newer look, and what both have found: what is in flight moves meanwhile."""
    clock = steady_clock()
    tls = engine_tls(certs) if certs else None
    first = record_in(directory)
    engine = DockerRuntime(first.worker, docker_host, tls=tls)
    try:
        before = audit(await facts_of(first, engine), clock())
        await asyncio.sleep(wait)
        facts = await facts_of(record_in(directory), engine)
    finally:
        await engine.close()
    return facts, lasting(before, audit(facts, clock()))


def _audited(directory: Path, facts: Facts, findings: list[Finding]) -> Audited:
    return Audited(
        worker=facts.record.worker,
        data_dir=str(directory),
        engine=facts.engine_id,
        sound=not findings,
        invariants=tuple(_checked(one, facts, findings) for one in INVARIANTS),
    )


def _checked(one: Invariant, facts: Facts, findings: list[Finding]) -> Checked:
    return Checked(
        invariant=one.code,
        rule=one.rule,
        looked_at=one.looked_at(facts),
        findings=tuple(finding for finding in findings if finding.invariant == one.code),
    )


def page(audited: Audited) -> Text:
    """An invariant a line, with what was found below it."""
    head = f"worker {audited.worker}, its record in {audited.data_dir}"
    lines = [Text(show.clean(head))]
    for one in audited.invariants:
        lines.append(_line(one))
        lines += [Text(f"    {_told(finding)}") for finding in one.findings]
    return Text("\n").join(lines)


def _line(one: Checked) -> Text:
    found = len(one.findings)
    verdict = Text("ok", "green") if not found else Text(f"{found} found", "bold red")
    return Text.assemble(
        (one.invariant, "bold"), f" {one.rule}: {show.clean(one.looked_at)}: ", verdict
    )


def _told(finding: Finding) -> str:
    of = (("task", finding.task_id), ("container", finding.container_id[:12]))
    whose = ", ".join(f"{kind} {name}" for kind, name in of if name)
    return show.clean(f"{whose}: {finding.words}" if whose else finding.words)
