"""Names of images, and patterns of them. PURE.

A name is taken apart as the engine does it, and each part is compared with the same part of the
pattern: a `*` never reaches from the registry into the path, nor from the path into the tag. So
`nginx*` is not `nginx.evil.example/app`, and `registry.example*` no registry at all.
"""

from __future__ import annotations

import re
from fnmatch import fnmatchcase

from msgspec import Struct

EVERY = "*"
DOCKER_HUB = "docker.io"
_OF_DOCKER_HUB = ("", "index.docker.io", DOCKER_HUB)
_OFFICIAL = "library/"
_LATEST = "latest"
_NO_PATTERN = re.compile(r"[^A-Za-z0-9._/:@*?\[\]!-]")
_ID = re.compile(r"(sha256:)?[0-9a-f]+\Z")


class ImageName(Struct, frozen=True):
    """An image's name, or a pattern, in its parts; without a registry it is of Docker Hub."""

    registry: str
    path: str
    tag: str
    digest: str


def may_be_id(image: str) -> bool:
    """Whether the engine may take it for an image's ID, or the start of one, when none has that
    name. A tag makes a name of it: `cafe:latest`.
    """
    return _ID.match(image) is not None


def matches(image: str, pattern: str) -> bool:
    """Whether a pattern is about an image; one without a tag or digest is about all of them.

    A digest decides alone what is pulled, whatever tag stands before it: an image that has one is
    not meant by a pattern's tag. What may be an ID is meant by `*` alone.
    """
    if pattern == EVERY:
        return True
    if may_be_id(image):
        return False
    name, wanted = _name(image), _name(pattern)
    same_place = fnmatchcase(name.registry, wanted.registry) and fnmatchcase(name.path, wanted.path)
    return same_place and _same_version(name, wanted)


def trouble(pattern: str) -> str:
    """Why a pattern is about no image at all, "" for one that may be."""
    rest, at, digest = pattern.partition("@")
    _, colon, tag = rest.rpartition("/")[2].partition(":")
    if "://" in pattern:
        return "no http:// or https:// stands before an image's name"
    if not all(rest.split("/")) or not rest.rpartition("/")[2].partition(":")[0]:
        return "a part of its path is empty"
    if (colon and not tag) or (at and not digest):
        return "nothing follows its : or @"
    if wrong := _NO_PATTERN.search(pattern):
        return f"{wrong[0]!r} stands in no image's name"
    return ""


def _same_version(name: ImageName, wanted: ImageName) -> bool:
    if wanted.digest:
        return fnmatchcase(name.digest, wanted.digest)
    if wanted.tag in ("", EVERY):
        return True
    return not name.digest and fnmatchcase(name.tag or _LATEST, wanted.tag)


def _name(text: str) -> ImageName:
    rest, _, digest = text.partition("@")
    first, slash, last = rest.rpartition("/")
    last, _, tag = last.partition(":")
    registry, path = _registry(f"{first}{slash}{last}")
    return ImageName(registry, path, tag, digest)


def _registry(text: str) -> tuple[str, str]:
    """What stands before the first slash is a registry if it looks like a host."""
    first, slash, rest = text.partition("/")
    host = slash and ("." in first or ":" in first or first == "localhost")
    registry, path = (first.lower(), rest) if host else ("", text)
    if registry not in _OF_DOCKER_HUB:
        return registry, path
    official = "/" not in path and not (registry and EVERY in path)
    return DOCKER_HUB, f"{_OFFICIAL}{path}" if official else path
