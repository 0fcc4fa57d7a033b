"""What a user expects of a worker, in plain dicts: no wishes, no lanes, no engine, no time.

What is asked is answered with OK or the code of an error. What follows from it has followed after
`settle`: when everything has come to rest and the engine answered.
"""

from __future__ import annotations

from typing import Literal, TypedDict

OK = "ok"
ENDED = {"COMPLETED", "FAILED"}

# What may be asked for: which restart policy, and whether it can be started at all.
POLICIES = {"web": "", "other": "", "stubborn": "", "on-failure": "on-failure", "always": "always"}
WITHOUT_IMAGE = "without an image"
SPECS = [*POLICIES, WITHOUT_IMAGE]

Container = Literal["none", "runs", "gone"] | int  # a number: it has exited with that code
Body = tuple[str, str, str, int]  # run or stop, task, spec, Generation


class Told(TypedDict):
    """One task. `moving`: something was asked that need not have followed yet."""

    spec: str
    generation: int
    state: str
    reason: str
    stopped: bool
    container: Container
    starts_most: int
    moving: bool


class Model:
    """Tasks in the order in which they were first asked for, accepted events, tombstones."""

    def __init__(self) -> None:
        self.tasks: dict[str, Told] = {}
        self.events: dict[str, Body] = {}
        self.buried: set[str] = set()

    def send(self, event_id: str | None, body: Body) -> str:
        """An event, or without an ID a DELETE. One that was accepted is never acted on again."""
        if event_id is not None and event_id in self.events:
            return self._known(event_id, body)
        answer = self._run(body) if body[0] == "run" else self._stop(event_id, body)
        if answer == OK and event_id is not None:
            self.events[event_id] = body
        return answer

    def _known(self, event_id: str, body: Body) -> str:
        if self.events[event_id] != body:
            return "event_reused"
        return "task_ended" if body[1] in self.buried else OK

    def _run(self, body: Body) -> str:
        _, task_id, spec, generation = body
        if task_id in self.buried:
            return "task_ended"
        task = self.tasks.get(task_id)
        if task is None:
            return self._begin(task_id, spec, generation, starts=0)
        if generation < task["generation"]:
            return "stale_generation"
        newer = generation > task["generation"]
        if task["state"] == "COMPLETED" and not newer:
            return "task_completed"
        if task["state"] in ENDED:
            return self._begin(task_id, spec, generation, starts=task["starts_most"])
        if task["stopped"]:
            return "stopping"
        if task["spec"] != spec:
            return "spec_changed"
        task["generation"] = generation
        return OK

    def _begin(self, task_id: str, spec: str, generation: int, *, starts: int) -> str:
        self.tasks[task_id] = {
            "spec": spec,
            "generation": generation,
            "state": "PENDING",
            "reason": "",
            "stopped": False,
            "container": "none",
            "starts_most": starts + 1,
            "moving": True,
        }
        return OK

    def _stop(self, event_id: str | None, body: Body) -> str:
        _, task_id, _, generation = body
        if task_id in self.buried:
            return OK if event_id is None else "task_ended"
        task = self.tasks.get(task_id)
        if task is None:
            return "unknown_task"
        if generation and generation < task["generation"]:
            return "stale_generation"
        if task["state"] not in ENDED and not task["stopped"]:
            task["stopped"] = task["moving"] = True
            task["generation"] = max(generation, task["generation"])
        return OK

    # -- what happens by itself ------------------------------------------------------------------

    def container_ends(self, task_id: str, how: Container) -> None:
        self.tasks[task_id]["container"] = how

    def settle(self) -> None:
        """Everything comes to rest."""
        for task in self.tasks.values():
            task["moving"] = False
            if task["state"] not in ENDED:
                self._settle(task)

    def _settle(self, task: Told) -> None:
        how = task["container"]
        if task["stopped"]:
            end(task, "COMPLETED", "stopped")
        elif task["spec"] == WITHOUT_IMAGE:
            end(task, "FAILED", "image_unavailable")
        elif how in ("none", "runs"):
            task["state"], task["container"] = "RUNNING", "runs"
        elif restarts(POLICIES[task["spec"]], how):
            task["container"] = "runs"
            task["starts_most"] += 1
        else:
            reason = "vanished" if how == "gone" else "exited"
            end(task, "COMPLETED" if how == 0 else "FAILED", reason)

    def expire(self) -> None:
        """What has ended is no longer kept."""
        ended = {task_id for task_id, task in self.tasks.items() if task["state"] in ENDED}
        self.buried |= ended
        for task_id in ended:
            del self.tasks[task_id]


def end(task: Told, state: str, reason: str) -> None:
    task["state"], task["reason"], task["container"] = state, reason, "none"


def restarts(policy: str, how: Container) -> bool:
    return policy == "always" or (policy == "on-failure" and how != 0)
