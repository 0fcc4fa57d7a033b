"""A small world in memory for the core alone: one task, one engine, one clock, and all that fails.

Values only: no asyncio, no threads, no chance of its own. `turn` is the drawing of the design (§2)
for one task, with a Fault in it where a test wants one; every turn is held to the laws.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any

import msgspec

from keelman.admission import Known, admit
from keelman.errors import (
    Conflict,
    EngineAway,
    EngineBusy,
    EngineError,
    EngineFailed,
    EngineRefused,
)
from keelman.moves import Step
from keelman.reconcile import done, failed, step
from keelman.seen import (
    Absent,
    Action,
    Image,
    Missing,
    Present,
    Pull,
    Pulled,
    Pulling,
    Seen,
    Unavailable,
    Unknown,
)
from keelman.task import Reason, State, Task, TaskEvent, Transition, Wish, new_task
from tests.unit.engine import Engine, Program
from tests.unit.given import NOW, TASK_ID, a_spec
from tests.unit.laws import check_counts, check_move, check_step, is_pulled


class Fault(StrEnum):
    """What goes wrong in one turn of a lane."""

    NONE = "none"
    BLIND = "the engine does not answer the look"
    CRASH_BEFORE_RECORD = "the worker dies before the record"
    CRASH_AFTER_RECORD = "the worker dies between the record and the action"
    CRASH_AFTER_ACTION = "the worker dies between the action and its record"
    CRASH_LATE = "the worker dies while it asks, and it is done later"
    LOST_REQUEST = "no answer, and it was not done"
    LOST_ANSWER = "no answer, and it was done"
    LATE = "no answer, and it is done later"
    BUSY = "the engine is at it"
    FAILS = "the engine answers 5xx"
    REFUSES = "the engine answers 4xx"


CRASHES = {
    Fault.CRASH_BEFORE_RECORD,
    Fault.CRASH_AFTER_RECORD,
    Fault.CRASH_AFTER_ACTION,
    Fault.CRASH_LATE,
}
ANSWERS: dict[Fault, EngineError] = {
    Fault.LOST_REQUEST: EngineAway("timed out"),
    Fault.LOST_ANSWER: EngineAway("timed out"),
    Fault.LATE: EngineAway("timed out"),
    Fault.BUSY: EngineBusy("at it"),
    Fault.FAILS: EngineFailed("no space left on device"),
    Fault.REFUSES: EngineRefused("bad parameter"),
}


class World:
    """One task's wish, record, log and engine. Tests read the fields and set what is outside."""

    def __init__(
        self,
        *programs: Program,
        pulls: tuple[Image, ...] = (),
        image: Image | None = None,
        **asked: Any,
    ) -> None:
        self.spec = a_spec(**asked)
        self.engine = Engine(programs)
        self.image: Image = image or Missing()
        self.pull_began = 0.0
        self.pulls = list(pulls)  # how the next ones end; well, once these are over
        self.now = NOW
        self.wake: float | None = NOW
        self.seq = 0
        self.wish: Wish | None = None
        self.task: Task | None = None
        self.log: list[Transition] = []
        self.starts_before = 0  # those of the task's earlier lives
        self.stopped_at = 0  # how many moves were on the log when the newest stop was taken
        self.slot = True
        self.expired = False

    # -- what tests ask --------------------------------------------------------------------------

    @property
    def state(self) -> State | None:
        return self.task.state if self.task else None

    @property
    def ended(self) -> bool:
        return self.task is not None and self.task.state.ended

    @property
    def stuck(self) -> bool:
        return self.task is not None and self.task.reason is Reason.STUCK

    @property
    def starts(self) -> int:
        """How often a container was started in this life of the task."""
        return len(self.engine.started) - self.starts_before

    @property
    def states(self) -> list[tuple[State, State, Reason]]:
        """The log without what depends on the clock."""
        return [(move.from_, move.to, move.reason) for move in self.log]

    @property
    def image_is_here(self) -> bool:
        return isinstance(self.image, Present)

    @property
    def is_pulling(self) -> bool:
        return is_pulled(self.image)

    # -- from outside ----------------------------------------------------------------------------

    def ask(self, wants: State = State.RUNNING, newer: int = 0) -> bool:
        """Send a wish in, as a handler would; says whether it was taken."""
        self.seq += 1
        event = TaskEvent(
            id=str(self.seq),
            state=wants,
            task_id=TASK_ID,
            generation=(self.wish.generation if self.wish else 0) + newer,
            spec=self.spec,
        )
        try:
            wish = admit(event, Known(wish=self.wish, task=self.task), self.seq)
        except Conflict:
            return False
        self.wish, self.wake = wish or self.wish, self.now
        return wish is not None

    def stop(self) -> bool:
        taken = self.wish is not None and self.ask(State.COMPLETED)
        if taken:
            self.stopped_at = len(self.log)
        return taken

    def has_slot(self, slot: bool) -> None:
        self.slot, self.wake = slot, self.now

    def passes(self, seconds: float) -> None:
        self.now += seconds

    def pull_ends(self) -> None:
        """The pull under way comes to its end; a failure is as old as this moment."""
        if not self.is_pulling:
            return
        end = self.pulls.pop(0) if self.pulls else Present()
        if isinstance(end, Unavailable):
            end = msgspec.structs.replace(end, at=self.now)
        self.image = self._after_pull(end)
        self.wake = self.now

    def _after_pull(self, end: Image) -> Image:
        if isinstance(end, Present):
            return Present(pull=Pulled(at=self.pull_began))
        if not self.image_is_here:
            return end
        return Present(pull=end if isinstance(end, Unavailable) else None)

    def exits(self, code: int, *, oom: bool = False) -> None:
        self.engine.exits(code, self.now, oom=oom)
        self.wake = self.now

    def vanishes(self) -> None:
        self.engine.vanishes()
        self.wake = self.now

    def late_requests_arrive(self) -> None:
        self.engine.catches_up(self.now)
        self.wake = self.now

    def restarts_worker(self) -> None:
        """What the worker kept only in memory is gone; it looks at everything anew."""
        self.image = Present() if self.image_is_here else Missing()
        self.wake = self.now

    # -- one turn --------------------------------------------------------------------------------

    def look(self) -> Seen:
        self.engine.lets_programs_end(self.now)
        bodies = [container.body for container in self.engine.containers]
        return Seen(
            body=bodies[-1] if bodies else Absent(image=self.image),
            others=tuple(body.container_id for body in bodies[:-1]),
            slot=self.slot,
            expired=self.expired,
        )

    def turn(self, fault: Fault = Fault.NONE, *, stopped_meanwhile: bool = False) -> bool:
        """One step for the task: look, step, record, act. Says whether there is more to do now."""
        task = self.task or (new_task(self.wish) if self.wish else None)
        if task is None:
            self.wake = None
            return False
        seen = Seen(body=Unknown()) if fault is Fault.BLIND else self.look()
        after = step(self.wish, task, seen, self.now)
        check_step(self.wish, task, seen, after)
        if fault is not Fault.CRASH_BEFORE_RECORD:
            self._record(task, after)
            if stopped_meanwhile:
                self.stop()
            self._act(after, fault)
        if fault in CRASHES:
            self.restarts_worker()
        return self.task != task or (self.wake is not None and self.wake <= self.now)

    def _act(self, step: Step, fault: Fault) -> None:
        task, action = step.task, step.action
        if action is None or fault is Fault.CRASH_AFTER_RECORD:
            return
        if fault in (Fault.LATE, Fault.CRASH_LATE):
            self.engine.late.append(action)
        if fault is Fault.CRASH_LATE:
            return
        error = self._answer(action, fault)
        if fault is Fault.CRASH_AFTER_ACTION:
            return
        after = Step(task=done(task, action, self.now), wake=self.now)
        if error is not None:
            after = failed(self.wish, task, action, error, self.now)
        check_move(task, after)
        check_counts(task, after)
        self._record(task, after)

    def _answer(self, action: Action, fault: Fault) -> EngineError | None:
        """Have it done, unless the fault keeps it from being done; the error is what is heard."""
        error = ANSWERS.get(fault)
        if error is not None and fault is not Fault.LOST_ANSWER:
            return error
        if isinstance(action, Pull):
            self.image = Present(pull=Pulling()) if self.image_is_here else Pulling()
            self.pull_began = self.now
        return self.engine.do(action, self.now) or error

    def _record(self, before: Task, after: Step) -> None:
        self.task, self.wake = after.task, after.wake
        if after.transition is not None:
            self.log.append(after.transition)
            if before.state is State.PENDING or before.state.ended:
                self.starts_before = len(self.engine.started)
        if after.forget:
            self._forget()

    def _forget(self) -> None:
        self.task = self.wish = None
        self.log.clear()
        self.engine = Engine(self.engine.programs)
        self.starts_before = 0

    # -- left alone ------------------------------------------------------------------------------

    def settles(self, within: int = 200) -> bool:
        """Leave it alone, with a slot free and pulls that end; says whether it came to rest."""
        self.slot = True
        return any(not self.turn() and not self.sleeps() for _ in range(within))

    def sleeps(self) -> bool:
        """Until the next thing happens; says whether anything will."""
        if self.is_pulling:
            self.passes(1)
            self.pull_ends()
            return True
        times = [self.wake, *(container.ends_at for container in self.engine.containers)]
        soonest = min((time for time in times if time is not None), default=None)
        if soonest is None:
            return False
        self.now = max(self.now, soonest)
        return True
