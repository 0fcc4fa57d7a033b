"""What an engine or a container says of a task, without the values of its Env that it may quote.

Beyond this the words are recorded, told to listeners, logged and shown to whoever asks.
"""

from __future__ import annotations

import msgspec

from keelman import hiding
from keelman.errors import EngineError
from keelman.seen import Created, Seen, Unknown
from keelman.task import Spec


def error(met: EngineError, spec: Spec) -> EngineError:
    """The same error, in words that may be told."""
    words = hiding.words(met.message, spec.env)
    return met if words == met.message else type(met)(words)


def seen(found: Seen, spec: Spec) -> Seen:
    """What was seen, in words that may be told."""
    match found.body:
        case Created(refused=refused) if refused is not None:
            told = msgspec.structs.replace(refused, message=hiding.words(refused.message, spec.env))
            body = msgspec.structs.replace(found.body, refused=told)
            return msgspec.structs.replace(found, body=body)
        case Unknown(why=why):
            return msgspec.structs.replace(found, body=Unknown(why=hiding.words(why, spec.env)))
        case _:
            return found
