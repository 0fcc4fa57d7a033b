"""How fast tasks are placed: `python -m tests.scale [TASKS]`, with 10, 100 and 1,000 nodes.

Each line is one pass in this process. What it prints is in docs/manager.md.
"""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Callable

from keelman.manager.scheduler import Ask, Offer, Placed, Strategy, place

MIB = 1024**2
NODES = (10, 100, 1000)


def alike(number: int) -> Ask:
    return Ask(task_id=str(number), cpu=0.5, memory=256 * MIB)


def different(number: int) -> Ask:
    cpu = 0.1 + number * 7919 % 100_000 / 100_000
    return Ask(task_id=str(number), cpu=cpu, memory=64 * MIB + number)


def too_many(number: int) -> Ask:
    """A quarter of them finds no room."""
    return Ask(task_id=str(number), cpu=3.0 + number % 5 / 10, memory=256 * MIB)


def hopeless(number: int) -> Ask:
    """None has room, and no two are alike."""
    return Ask(task_id=str(number), cpu=100_000.0 + number)


KINDS: tuple[Callable[[int], Ask], ...] = (alike, different, too_many, hopeless)


def cluster(nodes: int, tasks: int) -> list[Offer]:
    """Small, middle and large nodes, with room for the tasks that are alike or different."""
    each = 1.2 * tasks / nodes
    return [
        Offer(
            name=f"node-{number:04}",
            cpu=each * (1 + number % 3),
            memory=int(each * 1024) * MIB,
            disk=1024**4,
        )
        for number in range(nodes)
    ]


def measure(kind: Callable[[int], Ask], nodes: int, tasks: int, strategy: Strategy) -> str:
    asks, offers = [kind(number) for number in range(tasks)], cluster(nodes, tasks)
    began = time.perf_counter()
    fates = place(asks, offers, strategy)
    rate = tasks / (time.perf_counter() - began)
    placed = sum(isinstance(fate, Placed) for fate in fates)
    held = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    return (
        f"{nodes:5} nodes  {kind.__name__:9}  {strategy:8}  {rate:9,.0f} a second,"
        f" {placed} of {tasks} placed; {held} MiB so far"
    )


def main() -> None:
    tasks = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    for nodes in NODES:
        for kind in KINDS:
            for strategy in Strategy:
                sys.stdout.write(measure(kind, nodes, tasks, strategy) + "\n")
                sys.stdout.flush()


if __name__ == "__main__":
    main()
