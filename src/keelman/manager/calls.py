"""What a manager asks of a node for one task, and what may be wrong with the answer. PURE."""

from __future__ import annotations

from msgspec import Struct

from keelman.manager.placement import Copy


class Send(Struct, frozen=True, kw_only=True):
    """Take this copy: a TaskEvent, the same however often it is sent."""

    copy: Copy


class Stop(Struct, frozen=True, kw_only=True):
    """Stop this copy, as it was wished."""

    copy: Copy


class Look(Struct, frozen=True, kw_only=True):
    """What of this copy its Transitions do not tell?"""

    copy: Copy


class Clear(Struct, frozen=True, kw_only=True):
    """Stop this older copy, and say whether it has ended."""

    copy: Copy


Call = Send | Stop | Look | Clear


class Refused(Struct, frozen=True, kw_only=True):
    """The node said no: in its code and its words. `later`: the same may go well another time."""

    code: str
    words: str
    later: bool = False


class NoAnswer(Struct, frozen=True, kw_only=True):
    """Nothing is known of what the node did."""

    words: str


Trouble = Refused | NoAnswer
