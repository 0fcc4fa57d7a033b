"""When a task is started again, and how long that waits. PURE.

Back-off runs from 1 s, doubling to 5 min, and begins anew after 10 min up. The jitter is drawn from
the task's id and attempt, so that a step stays a function of its arguments.
"""

from __future__ import annotations

import hashlib

from keelman.errors import EngineError, EngineRefused, NameTaken, NotAllowedHere
from keelman.seen import (
    Action,
    Create,
    Image,
    Missing,
    Present,
    Pulled,
    Pulling,
    Unavailable,
)
from keelman.task import Spec, Task

BACKOFF_FIRST_SECONDS = 1.0
BACKOFF_MOST_SECONDS = 300.0
STABLE_SECONDS = 600.0
ENGINE_RETRIES = 5
PULL_RETRIES = 3


def restart_due(policy: str, *, succeeded: bool, failures: int) -> bool:
    """Whether a RestartPolicy starts a task again that ended after `failures` earlier failures."""
    name, _, most = policy.partition(":")
    if name in ("always", "unless-stopped"):
        return True
    if name != "on-failure" or succeeded:
        return False
    return not most or failures < int(most)


def rested(task: Task, up_seconds: float) -> Task:
    """The task after it was up for so long: its failures are forgotten after 10 min."""
    return task.but(failures=0) if up_seconds >= STABLE_SECONDS else task


def is_refusal(action: Action, error: EngineError) -> bool:
    """Whether it is no use to try the same again at once: the attempt has failed."""
    if isinstance(error, NotAllowedHere | NameTaken):
        return True
    return isinstance(action, Create) and isinstance(error, EngineRefused)


def no_pull(spec: Spec) -> str:
    """Why an image that is missing may not be pulled; empty when it may."""
    if spec.pull_policy != "never":
        return ""
    return f"image {spec.image} is not on this machine and PullPolicy is never"


def pulls_anew(task: Task) -> bool:
    """Whether the present attempt wants its image pulled although it is here."""
    return task.spec.pull_policy == "always" and task.pulled < max(task.attempt, 1)


def backoff_seconds(task: Task, failures: int) -> float:
    """How long to wait before the next start, in seconds, jitter (up to a quarter) included."""
    doubled: float = BACKOFF_FIRST_SECONDS * 2 ** min(failures, 20)
    return min(doubled, BACKOFF_MOST_SECONDS) * (1 + _fraction(task, failures) / 4)


def _fraction(task: Task, salt: int) -> float:
    text = f"{task.id}/{task.attempt}/{salt}".encode()
    return int.from_bytes(hashlib.blake2b(text, digest_size=4).digest(), "big") / 2**32


LONGEST_WAIT_SECONDS = BACKOFF_MOST_SECONDS * 1.25


def image_for_attempt(task: Task, image: Image) -> Image:
    """What an image is to one who wants it anew: as if it were not here until it was pulled.

    A pull that began before the attempt was due may have found what was newest before.
    """
    if not isinstance(image, Present) or not pulls_anew(task):
        return image
    match image.pull:
        case Pulled(at=began):
            return image if began >= task.due else Missing()
        case None:
            return Missing()
        case Pulling() | Unavailable():
            return image.pull
