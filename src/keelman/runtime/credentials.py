"""Whose name and password a registry is shown: Docker's config file, read. PURE.

What is secret has no readable repr, and no error quotes what it is about. Reading the file and
running helpers is `docker_config`'s business.
"""

from __future__ import annotations

import re
from base64 import b64decode, urlsafe_b64encode

import msgspec
from msgspec import Struct

DOCKER_HUB = "https://index.docker.io/v1/"
HELPER_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*\Z")
TOKEN_USER = "<token>"  # noqa: S105  # a helper's name for one who has a token and no password


class Secret(Struct, frozen=True, kw_only=True):
    """The base of what must not be seen in a log, a traceback or an error."""

    def __repr__(self) -> str:
        return f"{type(self).__name__}(…)"

    def __rich_repr__(self) -> list[str]:  # type: ignore[override]  # of what rich calls for
        return ["…"]


class Login(Secret, frozen=True, kw_only=True):
    """What a registry is shown: a name with its password, or a token."""

    username: str = ""
    password: str = ""
    identitytoken: str = ""
    registrytoken: str = ""


class Entry(Login, frozen=True, kw_only=True):
    """One registry's entry in the file; `auth` is `name:password` in base64."""

    auth: str = ""


class HelperAnswer(Secret, frozen=True, kw_only=True):
    """What a credential helper prints."""

    username: str = msgspec.field(default="", name="Username")
    secret: str = msgspec.field(default="", name="Secret")


class Config(Secret, frozen=True, kw_only=True):
    """Docker's config file, as far as we read it."""

    auths: dict[str, Entry] | None = None
    helpers: dict[str, str] | None = msgspec.field(default=None, name="credHelpers")
    store: str | None = msgspec.field(default=None, name="credsStore")


def config_of(content: bytes) -> Config:
    """The file, decoded. Raises: ValueError, in words that quote nothing of it."""
    try:
        return msgspec.json.decode(content, type=Config)
    except msgspec.ValidationError:
        words = "auths, credHelpers or credsStore are not as Docker writes them"
        raise ValueError(words) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise ValueError("it is not JSON") from None


def registry_of(image: str) -> str:
    """The registry of an image, as the file calls it: docker.io has a name of its own there."""
    host, slash, _ = image.partition("/")
    named = bool(slash) and (host == "localhost" or bool(re.search(r"[.:]", host)))
    return host if named and host not in ("docker.io", "index.docker.io") else DOCKER_HUB


def helper_for(config: Config, registry: str) -> str | None:
    """The helper that knows a registry's login. Raises: ValueError for no name of a program."""
    name = (config.helpers or {}).get(registry) or config.store
    if name and not HELPER_NAME.match(name):
        raise ValueError("credHelpers or credsStore name no docker-credential-… program")
    return name or None


def login_in(config: Config, registry: str) -> Login | None:
    """What `auths` holds for a registry; older files name it with scheme and path.

    Raises: ValueError, in words that quote nothing of it.
    """
    auths = config.auths or {}
    named = (entry for key, entry in auths.items() if _host(key) == _host(registry))
    entry = auths.get(registry) or next(named, Entry())
    username, password = _pair(entry.auth) if entry.auth else (entry.username, entry.password)
    login = Login(
        username=username,
        password=password,
        identitytoken=entry.identitytoken,
        registrytoken=entry.registrytoken,
    )
    return None if login == Login() else login


def _host(key: str) -> str:
    return re.sub(r"\Ahttps?://", "", key).partition("/")[0]


def _pair(auth: str) -> tuple[str, str]:
    try:
        username, colon, password = b64decode(auth, validate=True).decode().partition(":")
    except ValueError:
        username = colon = password = ""
    if not username or not colon:
        raise ValueError("an auth in auths is not name:password in base64") from None
    return username, password.rstrip("\0")


def login_of_helper(output: bytes) -> Login:
    """What a helper says. Raises: ValueError, in words that quote nothing of it."""
    try:
        told = msgspec.json.decode(output, type=HelperAnswer)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise ValueError("its answer is not what a credential helper says") from None
    if told.username == TOKEN_USER:
        return Login(identitytoken=told.secret)
    return Login(username=told.username, password=told.secret)


def header_of(login: Login, registry: str) -> str:
    """The value of X-Registry-Auth."""
    given = {name: value for name, value in msgspec.structs.asdict(login).items() if value}
    return urlsafe_b64encode(msgspec.json.encode({**given, "serveraddress": registry})).decode()
