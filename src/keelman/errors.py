"""The tree of errors. PURE.

Each knows its HTTP status, its code and whether trying the same again may help. They are raised,
never returned; `api` maps them to responses in one place.

    KeelmanError
    ├── BadRequest      400  Malformed, BadField, NotSupported
    ├── Unauthorized    401
    ├── Forbidden       403  ForbiddenClient, ForbiddenPage, NotInvited
    ├── NotFound        404  UnknownTask, UnknownNode
    ├── MethodNotAllowed 405
    ├── RequestTimeout  408
    ├── Conflict        409  EventReused, SpecChanged, Stopping, TaskCompleted, TaskEnded,
    │                        StaleGeneration, InsufficientResources, NodeKnown, NodeInUse,
    │                        NoAuthority
    ├── Gone            410  ContainerGone, EventsGone, TaskGone
    ├── TooLarge        413
    ├── NotJson         415
    ├── Unavailable     503  CannotRecord, EngineUnavailable, TooMany, NodeUnavailable
    ├── IllegalMove     500  a state change that the design forbids: a bug
    ├── CannotStart          the worker may not run here at all
    ├── CannotCopy           no backup, or nothing restored
    └── EngineError          met by the loop, and by who asks for logs
        ├── EngineAway       no answer: nothing is known
        ├── EngineBusy       it is at it: look again
        ├── EngineFailed     5xx: its own trouble
        └── EngineRefused    4xx: it will not do this; NameTaken, ImageNotFound, NotAllowedHere
"""


class KeelmanError(Exception):
    """Anything Keelman reports on purpose.

    `status` is an HTTP status, `code` a stable word for programs, `retriable` whether the same
    request may succeed later.
    """

    status = 500
    code = "internal_error"
    retriable = False

    @property
    def message(self) -> str:
        return str(self)


class BadRequest(KeelmanError):
    status, code = 400, "bad_request"


class Malformed(BadRequest):
    code = "malformed"


class BadField(BadRequest):
    code = "bad_field"


class NotSupported(BadRequest):
    code = "not_supported"


class Unauthorized(KeelmanError):
    """Nobody knows who asks. Its words are always the same."""

    status, code = 401, "unauthorized"

    def __init__(self, words: str = "a client certificate or a bearer token is needed") -> None:
        super().__init__(words)


class Forbidden(KeelmanError):
    """What the operator did not allow; `field` is where it was asked for, if it was in a field."""

    status, code = 403, "not_allowed"

    def __init__(self, message: str, field: str = "") -> None:
        super().__init__(message)
        self.field = field


class ForbiddenClient(Forbidden):
    """The certificate is good, and its name is not one of those that are let in."""

    code = "forbidden_client"

    def __init__(self, words: str = "the client certificate has no name that is let in") -> None:
        super().__init__(words)


class ForbiddenPage(Forbidden):
    """A page in a browser asks where nobody has to show who he is: it may be anybody's."""

    code = "forbidden_page"

    def __init__(self, words: str = "a web page may not ask a worker without tokens") -> None:
        super().__init__(words)


class NotInvited(Forbidden):
    """Who asks to join has no invitation that is good."""

    code = "not_invited"


class NotFound(KeelmanError):
    status, code = 404, "not_found"


class UnknownTask(NotFound):
    code = "unknown_task"


class UnknownNode(NotFound):
    code = "unknown_node"


class MethodNotAllowed(KeelmanError):
    status, code = 405, "method_not_allowed"


class RequestTimeout(KeelmanError):
    status, code, retriable = 408, "request_timeout", True


class Conflict(KeelmanError):
    status, code = 409, "conflict"


class EventReused(Conflict):
    code = "event_reused"


class SpecChanged(Conflict):
    code = "spec_changed"


class Stopping(Conflict):
    code = "stopping"


class TaskCompleted(Conflict):
    code = "task_completed"


class TaskEnded(Conflict):
    code = "task_ended"


class StaleGeneration(Conflict):
    code = "stale_generation"


class InsufficientResources(Conflict):
    """More is asked for than is left; `field` is the first of which it is."""

    code = "insufficient_resources"

    def __init__(self, message: str, field: str = "Task") -> None:
        super().__init__(message)
        self.field = field


class NodeKnown(Conflict):
    code = "node_known"


class NodeInUse(Conflict):
    code = "node_in_use"


class NoAuthority(Conflict):
    """The manager can make no certificates, which whoever joins would need."""

    code = "no_authority"


class Gone(KeelmanError):
    status, code = 410, "gone"


class ContainerGone(Gone):
    code = "container_gone"


class EventsGone(Gone):
    code = "events_gone"


class TaskGone(Gone):
    code = "task_gone"


class TooLarge(KeelmanError):
    status, code = 413, "too_large"


class NotJson(KeelmanError):
    status, code = 415, "not_json"


class Unavailable(KeelmanError):
    status, code, retriable = 503, "unavailable", True


class CannotRecord(Unavailable):
    code = "cannot_record"


class EngineUnavailable(Unavailable):
    code = "engine_unavailable"


class TooMany(Unavailable):
    """As many as there may be do the same already."""

    code = "too_many"


class NodeUnavailable(Unavailable):
    code = "node_unavailable"


class IllegalMove(KeelmanError):
    code = "illegal_move"


class CannotStart(KeelmanError):
    """The worker may not run with what it was given: another one holds it, or it does not fit."""

    code = "cannot_start"


class CannotCopy(KeelmanError):
    """A database was not backed up, or not restored: everything is as it was."""

    code = "cannot_copy"


class EngineError(KeelmanError):
    code = "engine_error"


class EngineAway(EngineError):
    """The engine gave no answer: what it did, and what is, is unknown."""

    status, code, retriable = 503, "engine_unavailable", True


class EngineBusy(EngineError):
    """The engine is doing this already, or undoing it: look again."""

    retriable = True


class EngineFailed(EngineError):
    """The engine answered 5xx, in its own words."""

    retriable = True


class EngineRefused(EngineError):
    """The engine answered 4xx: the same again would be refused again."""

    code = "create_refused"


class NameTaken(EngineRefused):
    code = "name_taken"


class ImageNotFound(EngineRefused):
    code = "image_unavailable"


class NotAllowedHere(EngineRefused):
    code = "not_allowed"
