"""The options that `keelman worker` and `keelman manager` have in common: what they are, once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Protocol

from cyclopts import Parameter
from cyclopts.validators import Number

from keelman.door import Credentials
from keelman.process import LogFormat


def option(words: str, *, validator: Number | None = None) -> Parameter:
    """An option, told in `--help`; a flag has no `--no-…`."""
    return Parameter(help=words, negative=(), validator=validator)


Host = Annotated[str, option("The address to listen on.")]
Port = Annotated[int, option("The port; 0 for any free one.", validator=Number(gte=0, lte=65535))]
TlsCert = Annotated[
    Path | None, option("Its certificate, in PEM: it speaks TLS, and nothing else.")
]
TlsKey = Annotated[Path | None, option("The certificate's private key.")]
TlsCa = Annotated[Path | None, option("The CA that the certificates of clients must be of.")]
AllowClient = Annotated[
    list[str] | None, option("A name in a client's certificate that is let in. Repeatable.")
]
TokenFile = Annotated[
    Path | None, option("A file of tokens that are let in, a line each: NAME TOKEN.")
]
KeepEndedHours = Annotated[float, option("How long ended tasks are kept.", validator=Number(gte=0))]
KeepEndedTasks = Annotated[int, option("How many ended tasks are kept.", validator=Number(gte=0))]
ShowEnv = Annotated[bool, option("Tasks are shown with the values of their Env.")]
AuditReads = Annotated[
    bool, option("The audit log has a line for each request that only reads, too.")
]
Form = Annotated[LogFormat, option("auto: console on a terminal, else json.")]


class LetIn(Protocol):
    """Who is let in, as it was given."""

    @property
    def tls_cert(self) -> Path | None: ...
    @property
    def tls_key(self) -> Path | None: ...
    @property
    def tls_ca(self) -> Path | None: ...
    @property
    def allow_client(self) -> list[str] | None: ...
    @property
    def token_file(self) -> Path | None: ...


def credentials(given: LetIn) -> Credentials:
    """Whom it is to let in, and how it shows who it is."""
    return Credentials(
        tls_cert=given.tls_cert,
        tls_key=given.tls_key,
        tls_ca=given.tls_ca,
        allow_client=tuple(given.allow_client or ()),
        token_file=given.token_file,
    )
