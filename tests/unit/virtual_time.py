"""A loop in which time passes only when everybody waits, and then at once.

Nothing sleeps for real: when no callback is ready, the loop's clock jumps to the next timer. While
a thread is at work for somebody (`busy`) time stands still.
"""

from __future__ import annotations

import asyncio
import functools
import selectors
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")
REAL_SECONDS_MOST = 10.0


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop with a clock of its own, which begins at 0."""

    def __init__(self) -> None:
        self.now = 0.0
        self.busy = 0
        super().__init__(_Jumping(self))
        self._clock_resolution = 1e-6  # a float holds no less of a year

    def time(self) -> float:
        return self.now

    def run_in_executor(  # type: ignore[override]  # what threads are asked here is quick
        self, executor: object, func: Callable[..., T], *args: Any
    ) -> asyncio.Future[T]:
        done: asyncio.Future[T] = self.create_future()
        done.set_result(func(*args))
        return done


class _Jumping(selectors.DefaultSelector):
    def __init__(self, loop: VirtualLoop) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if ready or timeout == 0:
            return ready
        if self._loop.busy:
            ready = super().select(REAL_SECONDS_MOST)
            assert ready, "a thread never came back"
            return ready
        assert timeout is not None, "everybody waits, and nothing will ever happen"
        self._loop.now += timeout
        return []


def in_virtual_time(test: Callable[P, Coroutine[Any, Any, None]]) -> Callable[P, None]:
    """A test that runs on a VirtualLoop of its own."""

    @functools.wraps(test)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        with asyncio.Runner(loop_factory=VirtualLoop) as runner:
            runner.run(test(*args, **kwargs))

    return run


def the_loop() -> VirtualLoop:
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualLoop)
    return loop


@contextmanager
def thread_at_work() -> Iterator[None]:
    """Time stands still while a thread does something that will wake the loop."""
    loop = the_loop()
    loop.busy += 1
    try:
        yield
    finally:
        loop.busy -= 1
