"""`keelman certs`: a small CA, and the certificates that manager and workers know each other by.

What each command does is told in `cli`, which loads this module only when it is needed.
"""

from __future__ import annotations

import os
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter
from cyclopts.validators import Number
from rich.table import Table
from rich.text import Text

from keelman import cert_files
from keelman.cert_names import LOOPBACK, BadName
from keelman.cert_report import Certificate, look
from keelman.cli import show as shown
from keelman.cli.asking import Json, flag
from keelman.cli.failures import FAILED, Usage, complain

CA_DAYS, CERT_DAYS = 3650, 365

_Dir = Annotated[
    Path | None,
    Parameter(
        name="--dir",
        help="The folder. Usually /etc/keelman/certs, or ~/.config/keelman/certs if not root.",
    ),
]
_Days = Annotated[
    int, Parameter(name="--days", help="How long it is valid.", validator=Number(gte=1, lte=36500))
]
_Name = Annotated[
    str, Parameter(name="NAME", help="Whose it is: a manager's or a worker's name, as in node-1.")
]
_Hosts = Annotated[
    list[str] | None,
    Parameter(name="--host", help="A name or IP that it is reached at. Repeatable.", negative=()),
]
_NewCa = Annotated[bool, flag("Another CA; the one before is still trusted.", "--renew")]
_Another = Annotated[
    bool, flag("Another in place of the one there is; for the same hosts unless told.", "--renew")
]


def init(*, dir_: _Dir = None, days: _Days = CA_DAYS, renew: _NewCa = False) -> None:
    """Make a CA, or with --renew the next one."""
    folder, make = folder_of(dir_), cert_files.renew_ca if renew else cert_files.init
    make(folder, now=datetime.now(UTC), days=days)
    _tell(folder / cert_files.CA_CERT, folder / cert_files.CA_KEY)


def issue(
    name: _Name,
    /,
    *,
    host: _Hosts = None,
    dir_: _Dir = None,
    days: _Days = CERT_DAYS,
    renew: _Another = False,
) -> None:
    """Make a key and a certificate."""
    folder, now = folder_of(dir_), datetime.now(UTC)
    try:
        if renew:
            cert_files.renew(folder, name, hosts=host, now=now, days=days)
        else:
            cert_files.issue(folder, name, hosts=host or (), now=now, days=days)
    except BadName as error:
        raise Usage(error.message) from error
    _tell(*cert_files.paths(folder, name))


def retire(*, dir_: _Dir = None) -> None:
    """Trust only the CA that signs."""
    folder = folder_of(dir_)
    cert_files.retire(folder)
    _tell(folder / cert_files.CA_CERT)


def show(*, dir_: _Dir = None, json: Json = False) -> int:
    """Show what is there, and complain of what is wrong."""
    told = look(folder_of(dir_), now=datetime.now(UTC))
    if json:
        shown.json(told)
    else:
        shown.put(table(told.certificates))
    for warning in told.warnings:
        complain(warning, FAILED)
    return FAILED if told.warnings else 0


def table(found: tuple[Certificate, ...]) -> Table:
    """One a line; the names that all of them have are left out."""
    rows = Table(box=None, pad_edge=False, header_style="bold")
    for head in ("FILE", "NAME", "HOSTS", "UNTIL", "DAYS LEFT", "SIGNED BY"):
        rows.add_column(head, justify="right" if head == "DAYS LEFT" else "left")
    for one in found:
        rows.add_row(*map(_cell, _cells(one)))
    return rows


def _cells(one: Certificate) -> tuple[str, ...]:
    hosts = [name for name in one.names if name not in (one.name, *LOOPBACK)]
    until = f"{one.not_after:%Y-%m-%d}"
    signer = "itself" if one.signed_by == one.name else one.signed_by
    return one.file, one.name, ", ".join(hosts), until, str(one.days_left), signer


def _cell(text: str) -> Text:
    return Text(shown.clean(text), overflow="fold")


def folder_of(given: Path | None) -> Path:
    """The folder that was given, or the usual one: the system's for root, the user's for others."""
    usual = "/etc/keelman/certs" if os.geteuid() == 0 else "~/.config/keelman/certs"
    return (given or Path(usual)).expanduser().absolute()


def _tell(*paths: Path) -> None:
    sys.stdout.writelines(f"{path}\n" for path in paths)
