"""What a TaskEvent would come to: the create body, and everything that stands against it.

The real functions are asked, and nothing is kept of it: the spec's rules, this machine's, the put
on the queue, taken back. What POST would refuse comes with the code of that error; what would only
make the task fail afterwards with the Reason that it would have.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from keelman import policy, spec
from keelman.errors import (
    EngineError,
    EngineUnavailable,
    EventReused,
    Forbidden,
    InsufficientResources,
    KeelmanError,
    StaleGeneration,
)
from keelman.queue import Verdict
from keelman.runtime import Outlook
from keelman.seen import Missing
from keelman.task import Reason, Spec, Task, TaskEvent
from keelman.wire import DryRunReport, ObjectionReport
from keelman.worker.worker import Worker

FIELDS: dict[type[KeelmanError], str] = {
    EngineUnavailable: "",
    EventReused: "ID",
    StaleGeneration: "Task.Generation",
}
OTHER_FIELD = "Task.ID"  # what is on record is on record of that task


async def trial(worker: Worker, event: TaskEvent) -> DryRunReport:
    """What `Worker.add_task` would answer, and the engine be asked for. Raises: CannotRecord."""
    wrong = [] if event.spec is None else list(spec.objections(event.spec))
    verdict = await worker.queue.judge(event, worker.clock())
    return DryRunReport(
        create=_create(worker, event, verdict),
        objections=(
            *(_of_spec(objection) for objection in wrong),
            *(_of_error(error) for error in await worker.against(_sound(event, wrong))),
            *([] if verdict.refusal is None else [_of_error(verdict.refusal)]),
            *([] if wrong else await _ahead(worker, event, verdict)),
        ),
    )


def _create(worker: Worker, event: TaskEvent, verdict: Verdict) -> dict[str, Any] | None:
    """The body of the next attempt. Whoever asks need not be the one who may see the secrets."""
    if event.spec is None:
        return None
    last = verdict.known.task
    spec = _named(event.spec)
    task = Task(id=event.task_id, spec=spec, generation=event.generation)
    body = worker.runtime.create_body(task, 1 if last is None else last.attempt + 1)
    return {**body, "Env": [f"{name}=" for name in spec.env]}


def _named(asked: Spec) -> Spec:
    """The spec, without what was meant as a value and stands in a name: that is objected to."""
    if not any("=" in name for name in asked.env):
        return asked
    named = {name.partition("=")[0]: value for name, value in asked.env.items()}
    return msgspec.structs.replace(asked, env=named)


def _sound(event: TaskEvent, wrong: Sequence[spec.Objection]) -> TaskEvent:
    """The event, without the mounts where those are none."""
    if event.spec is None or not any(one.field.startswith("Mounts") for one in wrong):
        return event
    return msgspec.structs.replace(event, spec=msgspec.structs.replace(event.spec, mounts=()))


async def _ahead(worker: Worker, event: TaskEvent, verdict: Verdict) -> list[ObjectionReport]:
    """What would go wrong after the 201; nothing of a container that is not to be made."""
    if event.spec is None or verdict.known.live or worker.db.engine_id() is None:
        return []
    if worker.engine_trouble:
        return [_of_error(EngineUnavailable(worker.engine_trouble))]
    try:
        outlook = await worker.runtime.outlook(event.spec)
    except EngineError as error:
        return [_of_error(EngineUnavailable(error.message))]
    return list(_met(event.spec, outlook))


def _met(wanted: Spec, outlook: Outlook) -> Iterator[ObjectionReport]:
    if isinstance(outlook.image, Missing) and (words := policy.no_pull(wanted)):
        yield ObjectionReport(
            field="Task.Image", message=f"Task.Image: {words}", code=Reason.IMAGE_UNAVAILABLE
        )
    for port in outlook.taken:
        words = f"Task.PortBindings: host port {port} is in use on this machine"
        yield ObjectionReport(field="Task.PortBindings", message=words, code=Reason.PORT_TAKEN)


def _of_spec(wrong: spec.Objection) -> ObjectionReport:
    return ObjectionReport(field=f"Task.{wrong.field}", message=wrong.message, code=wrong.kind.code)


def _of_error(error: KeelmanError) -> ObjectionReport:
    if isinstance(error, Forbidden | InsufficientResources):
        return ObjectionReport(field=error.field, message=error.message, code=error.code)
    field = FIELDS.get(type(error), OTHER_FIELD)
    return ObjectionReport(field=field, message=error.message, code=error.code)
