"""What a route is: method, path, handler, and all that may be asked and answered there. PURE.

One table of these makes the router, the check of query parameters, and the OpenAPI document; the
docs are held to it. Nothing here serves anything.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, TypeVar

from msgspec import Struct

from keelman.errors import ForbiddenClient, ForbiddenPage, KeelmanError, Unauthorized

H_co = TypeVar("H_co", bound=Callable[..., object], covariant=True)
JSON = "application/json"
STRANGERS: tuple[type[KeelmanError], ...] = (Unauthorized, ForbiddenClient, ForbiddenPage)


class Parameter(Struct, frozen=True):
    """One that may be asked with: its name, what it does, and its JSON Schema.

    `repeats`: it may be given more than once. `place` is `query`, `header` or `path`.
    """

    name: str
    about: str
    schema: dict[str, Any]
    repeats: bool = False
    place: str = "query"


class Answer(Struct, frozen=True):
    """An answer that is no error: its status, what it says, and what its body is.

    `body` is a type of `wire` (None: there is no body, or text); `headers` are those that matter.
    """

    status: int
    about: str
    body: Any = None
    media: str = JSON
    headers: dict[str, str] = {}


class Route(Struct, Generic[H_co], frozen=True):
    """One line of the table.

    `parameters` None: the query is not looked at. `sent` is the body's type. `refusals` are the
    errors that its handler may answer; an unknown parameter is refused without being named there.
    Where it is not `open`, who is not let in is answered one of `STRANGERS` before anything else.
    A `probe` only looks how the process is: whoever asks is not there for its tasks.
    """

    method: str
    path: str
    handler: H_co
    answers: tuple[Answer, ...] = ()
    parameters: tuple[Parameter, ...] | None = ()
    refusals: tuple[type[KeelmanError], ...] = ()
    sent: Any = None
    open: bool = False
    probe: bool = False

    @property
    def summary(self) -> str:
        """What it does: its handler's first sentence."""
        return (self.handler.__doc__ or "").strip().partition("\n")[0]

    @property
    def asked(self) -> dict[str, Parameter]:
        """Its query parameters by name."""
        return {one.name: one for one in self.parameters or () if one.place == "query"}

    @property
    def statuses(self) -> set[int]:
        """Every status that it answers on purpose to one who is let in."""
        errors = {error.status for error in self.refusals}
        return errors | {answer.status for answer in self.answers}
