"""Keelman: a small container orchestrator. `from keelman import Client` is its API from Python.

What it offers is loaded when it is first asked for: whoever imports one small module of it does not
load an HTTP client.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from keelman.client import (
        BadAddress,
        BadToken,
        Client,
        ClientError,
        NotTrusted,
        OtherHost,
        Unreachable,
    )
    from keelman.errors import KeelmanError
    from keelman.manager_client import ManagerClient
    from keelman.task import Reason, State
    from keelman.wire import TaskReport, TransitionReport

__all__ = [
    "BadAddress",
    "BadToken",
    "Client",
    "ClientError",
    "KeelmanError",
    "ManagerClient",
    "NotTrusted",
    "OtherHost",
    "Reason",
    "State",
    "TaskReport",
    "TransitionReport",
    "Unreachable",
]

_HOMES = {
    "keelman.client": {
        "BadAddress",
        "BadToken",
        "Client",
        "ClientError",
        "NotTrusted",
        "OtherHost",
        "Unreachable",
    },
    "keelman.errors": {"KeelmanError"},
    "keelman.manager_client": {"ManagerClient"},
    "keelman.task": {"Reason", "State"},
    "keelman.wire": {"TaskReport", "TransitionReport"},
}


def __getattr__(name: str) -> object:
    for module, names in _HOMES.items():
        if name in names:
            return getattr(import_module(module), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
