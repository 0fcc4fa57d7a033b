"""What can go wrong for one at the keyboard, and the exit status of each."""

from __future__ import annotations

import sys

from keelman.client import BadAddress, BadToken, ClientError, NotTrusted, OtherHost, Unreachable
from keelman.errors import KeelmanError

FAILED, USAGE, NO_SUCH_TASK, UNREACHABLE, FOUND, INTERRUPTED = 1, 2, 3, 4, 5, 130

EXIT_STATUSES = """\
Exit status: 0 done · 1 refused or failed · 2 wrong usage · 3 no such task · 4 no worker answers ·
5 `verify` found something · 130 interrupted · `run --wait` and `run --follow`: that of the task
(1 when it never ran)."""


class Usage(KeelmanError):
    """The command line says something that cannot be meant."""

    code = "usage"


class NotLetIn(KeelmanError):
    """The worker does not let in who showed what was shown."""

    code = "unauthorized"


class NoSuchTask(KeelmanError):
    """No task of the worker goes by that ID, prefix or Name."""

    code = "unknown_task"


def exit_status(error: KeelmanError | OSError) -> int:
    """The exit status that tells a script what `error` was."""
    match error:
        case Usage() | BadAddress() | BadToken():
            return USAGE
        case NoSuchTask() | ClientError(code="unknown_task"):
            return NO_SUCH_TASK
        case Unreachable():
            return UNREACHABLE
        case _:
            return FAILED


def advised(error: KeelmanError) -> str:
    """The words of an error, with what is to be done where one who asks is not let in."""
    return f"{error.message}; {advice}" if (advice := _advice(error)) else error.message


def _advice(error: KeelmanError) -> str:
    match error:
        case ClientError(code="unauthorized"):
            return "set KEELMAN_TOKEN_FILE, or KEELMAN_TLS_CERT and KEELMAN_TLS_KEY"
        case ClientError(code="forbidden_client"):
            return "its operator names those who may with --allow-client"
        case OtherHost():
            return "see that KEELMAN_ADDR is right"
        case ClientError(code="not_found"):
            return "only a manager has nodes: see that KEELMAN_ADDR is one's"
        case NotTrusted():
            return (
                "see that KEELMAN_ADDR is right and KEELMAN_TLS_CA names the worker's CA,"
                " and that KEELMAN_TLS_CERT is of the CA that the worker trusts, and not expired"
            )
        case _:
            return ""


def complain(words: str, status: int) -> int:
    """Says in one line on stderr what is wrong; answers `status`."""
    line = " ".join(words.split())
    sys.stderr.write(f"keelman: {line}\n")
    return status
