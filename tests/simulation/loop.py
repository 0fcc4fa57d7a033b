"""An event loop with a clock of its own, and processes that can die between any two callbacks.

Time passes only when nothing is ready, and then at once, to the next timer. Callbacks run one at a
time in the order in which they were asked for; there are no threads and no sockets, so that the
same program always runs the same way.

A process is a mark on contexts. A dead one's callbacks are dropped: no `finally` runs, nothing is
cancelled, nothing is flushed. That is `kill -9`, and every await is a place for it.
"""

from __future__ import annotations

import asyncio
import contextlib
import heapq
import sys
from collections import deque
from collections.abc import Callable, Coroutine
from contextvars import Context, ContextVar, copy_context
from itertools import count
from typing import Any, TypeVar

T = TypeVar("T")

CALLBACKS_MOST = 200_000


class Mark:
    """A process as the loop knows it: alive or dead, and what is to happen at which callback."""

    def __init__(self) -> None:
        self.dead = False
        self.callbacks = 0
        self.plans: dict[int, Callable[[], None]] = {}
        self.on_death: Callable[[], None] = lambda: None
        self.context = copy_context()
        self.context.run(PROCESS.set, self)

    def within(self, callbacks: int, act: Callable[[], None]) -> None:
        """Do something just before its n-th callback from now."""
        self.plans[self.callbacks + callbacks] = act

    def kill(self) -> None:
        """Nothing of it runs from here on."""
        if not self.dead:
            self.dead = True
            self.on_death()


PROCESS: ContextVar[Mark | None] = ContextVar("process", default=None)
OUTSIDE = Context()


class SimLoop(asyncio.AbstractEventLoop):
    """The loop. Times are seconds from 0."""

    callbacks_most = CALLBACKS_MOST

    def __init__(self) -> None:
        self.now = 0.0
        self.errors: list[BaseException] = []
        self._ready: deque[asyncio.Handle] = deque()
        self._timers: list[tuple[float, int, asyncio.TimerHandle]] = []
        self._numbers = count()
        self._graveyard: list[asyncio.Task[Any]] = []

    # -- what is asked of a loop -----------------------------------------------------------------

    def time(self) -> float:
        return self.now

    def get_debug(self) -> bool:
        return False

    def is_running(self) -> bool:
        return True

    def is_closed(self) -> bool:
        return False

    def create_future(self) -> asyncio.Future[Any]:
        return asyncio.Future(loop=self)

    def create_task(  # type: ignore[override]  # of coroutines only
        self,
        coro: Coroutine[Any, Any, T],
        *,
        name: str | None = None,
        context: Context | None = None,
    ) -> asyncio.Task[T]:
        task = asyncio.Task(coro, loop=self, name=name, context=context)
        self._graveyard.append(task)
        return task

    def call_soon(  # type: ignore[override]
        self, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> asyncio.Handle:
        handle = asyncio.Handle(callback, args, self, context)
        self._ready.append(handle)
        return handle

    call_soon_threadsafe = call_soon  # type: ignore[assignment]  # there is one thread

    def call_later(  # type: ignore[override]
        self,
        delay: float,
        callback: Callable[..., object],
        *args: Any,
        context: Context | None = None,
    ) -> asyncio.TimerHandle:
        return self.call_at(self.now + max(delay, 0.0), callback, *args, context=context)

    def call_at(  # type: ignore[override]
        self,
        when: float,
        callback: Callable[..., object],
        *args: Any,
        context: Context | None = None,
    ) -> asyncio.TimerHandle:
        timer = asyncio.TimerHandle(when, callback, args, self, context)
        heapq.heappush(self._timers, (when, next(self._numbers), timer))
        return timer

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        """It is skipped when its time comes."""

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        error = context.get("exception")
        if error is not None:
            self.errors.append(error)

    # -- running ---------------------------------------------------------------------------------

    def run(self, main: Coroutine[Any, Any, T]) -> T:
        """Run `main`, and whatever it began, until it is done."""
        asyncio._set_running_loop(self)
        try:
            task = self.create_task(main)
            for _ in range(self.callbacks_most):
                if task.done():
                    return task.result()
                self._once()
            raise AssertionError("it goes on and on")
        finally:
            self._bury()
            asyncio._set_running_loop(None)

    def _once(self) -> None:
        if not self._ready:
            self._next_timer()
            return
        handle = self._ready.popleft()
        if not handle.cancelled() and self._lives(handle):
            handle._run()

    def _next_timer(self) -> None:
        assert self._timers, "everybody waits, and nothing will ever happen"
        when, _, timer = heapq.heappop(self._timers)
        if not timer.cancelled():
            self.now = max(self.now, when)
            self._ready.append(timer)

    def _lives(self, handle: asyncio.Handle) -> bool:
        mark = handle._context.get(PROCESS)  # type: ignore[attr-defined]
        if mark is None:
            return True
        mark.callbacks += 1
        if (act := mark.plans.pop(mark.callbacks, None)) is not None and not mark.dead:
            OUTSIDE.run(act)
        return not mark.dead

    def _bury(self) -> None:
        """What the dead left behind is taken apart, and told to nobody."""
        told, sys.unraisablehook = sys.unraisablehook, lambda unraisable: None
        try:
            for task in self._graveyard:
                task._log_destroy_pending = False  # type: ignore[attr-defined]
                if not task.done():
                    with contextlib.suppress(BaseException):
                        task.get_coro().close()
            self._graveyard.clear()
            self._ready.clear()
            self._timers.clear()
        finally:
            sys.unraisablehook = told


def the_loop() -> SimLoop:
    loop = asyncio.get_running_loop()
    assert isinstance(loop, SimLoop)
    return loop
