"""Docker's config file as tables: whose login a registry is shown, and what never shows itself."""

from __future__ import annotations

import json
from base64 import b64encode, urlsafe_b64decode
from typing import Any

import pytest
import rich.pretty

from keelman.runtime import credentials
from keelman.runtime.credentials import DOCKER_HUB, Config, Login

SECRET = "s3cr3t"
HERE = "127.0.0.1:5000"


def auth(words: str = f"ann:{SECRET}") -> dict[str, Any]:
    return {"auth": b64encode(words.encode()).decode()}


def config(**fields: Any) -> Config:
    return credentials.config_of(json.dumps(fields).encode())


@pytest.mark.parametrize(
    ("image", "registry"),
    [
        ("busybox", DOCKER_HUB),
        ("busybox:1", DOCKER_HUB),
        ("library/busybox:1", DOCKER_HUB),
        ("docker.io/library/busybox", DOCKER_HUB),
        ("index.docker.io/library/busybox", DOCKER_HUB),
        ("localhost/busybox", "localhost"),
        ("ghcr.io/a/b:1", "ghcr.io"),
        ("registry:5000/busybox", "registry:5000"),
        (f"{HERE}/busybox@sha256:{'0' * 64}", HERE),
    ],
)
def test_an_image_names_its_registry(image: str, registry: str) -> None:
    assert credentials.registry_of(image) == registry


ANN = Login(username="ann", password=SECRET)


@pytest.mark.parametrize(
    ("auths", "registry", "login"),
    [
        pytest.param({HERE: auth()}, HERE, ANN, id="as docker login writes it"),
        pytest.param({DOCKER_HUB: auth()}, DOCKER_HUB, ANN, id="docker.io"),
        pytest.param({f"http://{HERE}/v2/": auth()}, HERE, ANN, id="with scheme and path"),
        pytest.param({f"https://{HERE}": auth("b:b"), HERE: auth()}, HERE, ANN, id="exact first"),
        pytest.param({HERE: auth("ann:a:b")}, HERE, Login(username="ann", password="a:b"),
                     id="a colon in the password"),
        pytest.param({HERE: auth(f"ann:{SECRET}\0")}, HERE, ANN, id="padded with NUL"),
        pytest.param({HERE: {"username": "ann", "password": SECRET}}, HERE, ANN, id="in plain"),
        pytest.param({HERE: {"identitytoken": SECRET, **auth("ann:")}}, HERE,
                     Login(username="ann", identitytoken=SECRET), id="an identity token"),
        pytest.param({HERE: {"registrytoken": SECRET}}, HERE, Login(registrytoken=SECRET),
                     id="a registry token"),
        pytest.param({HERE: {}}, HERE, None, id="an empty entry"),
        pytest.param({HERE: auth()}, "127.0.0.1:5001", None, id="another port"),
        pytest.param({HERE: auth()}, DOCKER_HUB, None, id="another registry"),
        pytest.param(None, HERE, None, id="null"),
    ],
)  # fmt: skip
def test_auths_hold_a_registrys_login(
    auths: dict[str, Any] | None, registry: str, login: Login | None
) -> None:
    assert credentials.login_in(config(auths=auths, HttpHeaders={"a": "b"}), registry) == login


@pytest.mark.parametrize("broken", ["no base64!", b64encode(SECRET.encode()).decode(), "gIA6gIA="])
def test_an_auth_that_cannot_be_read_is_an_error_without_its_words(broken: str) -> None:
    with pytest.raises(ValueError, match="not name:password in base64") as error:
        credentials.login_in(config(auths={HERE: {"auth": broken}}), HERE)
    assert SECRET not in repr(error.value)
    assert broken not in repr(error.value)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (f'{{"auths": "{SECRET}"}}', "not as Docker writes them"),
        (f'{{"auths": {{"a": {{"auth": ["{SECRET}"]}}}}}}', "not as Docker writes them"),
        (f'{{"auths": {SECRET}', "it is not JSON"),
        (f'["{SECRET}"]', "not as Docker writes them"),
        ("", "it is not JSON"),
    ],
)
def test_a_file_that_cannot_be_read_is_an_error_without_its_words(content: str, words: str) -> None:
    with pytest.raises(ValueError, match=words) as error:
        credentials.config_of(content.encode())
    assert SECRET not in repr(error.value)


def test_bytes_that_are_no_text_are_an_error() -> None:
    with pytest.raises(ValueError, match="it is not JSON"):
        credentials.config_of(b'{"auths": {"\xff": {}}}')


@pytest.mark.parametrize(
    ("fields", "registry", "helper"),
    [
        ({"credsStore": "pass"}, HERE, "pass"),
        ({"credHelpers": {HERE: "own"}, "credsStore": "pass"}, HERE, "own"),
        ({"credHelpers": {HERE: "own"}, "credsStore": "pass"}, DOCKER_HUB, "pass"),
        ({"credHelpers": {HERE: "own"}}, DOCKER_HUB, None),
        ({"credsStore": ""}, HERE, None),
        ({"credHelpers": None}, HERE, None),
        ({}, HERE, None),
    ],
)
def test_a_registrys_own_helper_comes_before_the_store(
    fields: dict[str, Any], registry: str, helper: str | None
) -> None:
    assert credentials.helper_for(config(**fields), registry) == helper


@pytest.mark.parametrize("name", ["../evil", "a/b", "a b", "-x", "a\n"])
def test_a_helper_is_named_by_a_plain_word(name: str) -> None:
    with pytest.raises(ValueError, match="name no docker-credential"):
        credentials.helper_for(config(credsStore=name), HERE)


@pytest.mark.parametrize(
    ("told", "login"),
    [
        ({"ServerURL": HERE, "Username": "ann", "Secret": SECRET}, ANN),
        ({"Username": "<token>", "Secret": SECRET}, Login(identitytoken=SECRET)),
    ],
)
def test_a_helper_tells_a_password_or_a_token(told: dict[str, str], login: Login) -> None:
    assert credentials.login_of_helper(json.dumps(told).encode()) == login


@pytest.mark.parametrize("output", [SECRET, f'["{SECRET}"]', ""])
def test_what_a_helper_says_otherwise_is_not_repeated(output: str) -> None:
    with pytest.raises(ValueError, match="not what a credential helper says") as error:
        credentials.login_of_helper(output.encode())
    assert SECRET not in repr(error.value)


def test_the_header_is_what_an_engine_reads() -> None:
    header = credentials.header_of(Login(username="ann", password="ÿ?>~"), HERE)
    assert json.loads(urlsafe_b64decode(header)) == {
        "username": "ann", "password": "ÿ?>~", "serveraddress": HERE,
    }  # fmt: skip
    token = credentials.header_of(Login(identitytoken="t"), DOCKER_HUB)
    assert json.loads(urlsafe_b64decode(token)) == {
        "identitytoken": "t", "serveraddress": DOCKER_HUB,
    }  # fmt: skip


def test_nothing_secret_has_a_readable_form() -> None:
    whole = config(auths={HERE: {"username": "ann", "password": SECRET, **auth()}})
    for one in (whole, whole.auths, credentials.login_in(whole, HERE)):
        for form in (repr(one), str(one), f"{one}", rich.pretty.pretty_repr(one)):
            assert SECRET not in form
            assert auth()["auth"] not in form
