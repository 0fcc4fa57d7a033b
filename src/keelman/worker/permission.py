"""Whether a spec may be carried out here: what the operator allowed, and what this machine knows.

It is asked when a task is sent, and again before anything is made of it: a worker may have been
started again with less allowed. What runs by then goes on.
"""

from __future__ import annotations

from collections.abc import Sequence

from keelman import allowed
from keelman.allowed import Allowed, Refusal
from keelman.errors import Forbidden, KeelmanError, NotAllowedHere, NotSupported
from keelman.task import Spec
from keelman.worker import mounts


async def refusals(spec: Spec, may: Allowed) -> list[Refusal]:
    """Everything that a spec asks for and may not."""
    return [*allowed.refusals(spec, may), *await mounts.refused(spec, may.mounts)]


async def forbidden(spec: Spec, may: Allowed) -> list[KeelmanError]:
    """The same, each as the error that its sender gets; no worker chooses between nodes."""
    words = "Task.Constraints: only a manager places tasks; leave it out"
    unmet = [NotSupported(words)] if spec.constraints else []
    found = await refusals(spec, may)
    return [*unmet, *(Forbidden(one.message, f"Task.{one.field}") for one in found)]


def together(against: Sequence[KeelmanError]) -> KeelmanError:
    """The first error; where that is a refusal, one that names all that are."""
    first = against[0]
    if not isinstance(first, Forbidden):
        return first
    refused = [one.message for one in against if isinstance(one, Forbidden)]
    return Forbidden("; ".join(refused), first.field)


async def check(spec: Spec, may: Allowed) -> None:
    """Raises: NotAllowedHere."""
    if found := await refusals(spec, may):
        raise NotAllowedHere("; ".join(one.message for one in found))
