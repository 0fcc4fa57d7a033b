"""The least of a script that still breaks something, for people to read."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import msgspec

from tests.simulation.ops import Asked, Script
from tests.simulation.outcome import Outcome

RUNS_MOST = 600


def shrunk(outcome: Outcome, run: Callable[[Script], Outcome]) -> Outcome:
    """The outcome of the least script that was found; `run` runs one."""
    runs = 0
    while True:
        for script in _smaller(outcome.script):
            runs += 1
            if runs > RUNS_MOST:
                return outcome
            again = run(script)
            if again.broken:
                outcome = again
                break
        else:
            return outcome


def _smaller(script: Script) -> Iterator[Script]:
    """Scripts with less in them, those with much less first."""
    many = len(script.ops)
    size = many // 2
    while size:
        for start in range(0, many, size):
            rest = script.ops[:start] + script.ops[start + size :]
            yield msgspec.structs.replace(script, ops=rest)
        size //= 2
    for place, asked in enumerate(script.tasks):
        usual = type(asked)()
        for name in usual.__struct_fields__:
            if getattr(asked, name) != getattr(usual, name):
                plainer = msgspec.structs.replace(asked, **{name: getattr(usual, name)})
                tasks = (*script.tasks[:place], plainer, *script.tasks[place + 1 :])
                yield msgspec.structs.replace(script, tasks=tasks)


def report(outcome: Outcome) -> str:
    """What broke, the script that breaks it, and what happened."""
    used = {getattr(op, "task", 0) for op in outcome.script.ops}
    tasks = [
        f"  t{number}: {_plain(asked)}"
        for number, asked in enumerate(outcome.script.tasks, start=1)
        if number in used
    ]
    ops = [f"  {op.at:9.3f}  {op}" for op in outcome.script.ops]
    broken = [f"  {words}" for words in outcome.broken]
    return "\n".join(
        ["broken:", *broken, "tasks:", *tasks, "script:", *ops, "what happened:", *outcome.trace]
    )


def _plain(asked: Asked) -> str:
    usual = type(asked)()
    told = {name: getattr(asked, name) for name in usual.__struct_fields__}
    changed = {name: value for name, value in told.items() if value != getattr(usual, name)}
    return ", ".join(f"{name}={value!r}" for name, value in changed.items()) or "as usual"
