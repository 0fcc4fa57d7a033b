"""Patterns of images: each part of a name is compared with the same part, and with no other."""

from __future__ import annotations

import pytest

from keelman.image_names import matches, may_be_id, trouble

DIGEST = "sha256:" + "0" * 64
OTHER_DIGEST = "sha256:" + "1" * 64


@pytest.mark.parametrize(
    ("pattern", "image"),
    [
        ("nginx", "nginx"),
        ("nginx", "nginx:1.27"),
        ("nginx", f"nginx@{DIGEST}"),
        ("nginx:*", f"nginx@{DIGEST}"),
        ("nginx", "docker.io/library/nginx"),
        ("docker.io/library/nginx", "nginx:1"),
        ("index.docker.io/nginx", "docker.io/nginx"),
        ("docker.io/*", "keelman/busybox:1"),
        ("docker.io/*", "nginx"),
        ("nginx*", "nginx-extra:2"),
        ("keelman/*", "keelman/busybox:1"),
        ("keelman/*", "docker.io/keelman/busybox:1"),
        ("registry.example/*", "registry.example/team/app:3"),
        ("registry.example/*", "Registry.Example/team/app"),
        ("registry.example:5000/*:1.*", "registry.example:5000/app:1.2"),
        ("*.example.com/app", "eu.example.com/app"),
        ("localhost/app", "localhost/app:2"),
        ("app:latest", "app"),
        ("app", "app:latest"),
        (f"app@{DIGEST}", f"app@{DIGEST}"),
        (f"app:1@{DIGEST}", f"app:2@{DIGEST}"),
        ("busybox:1.3[67]", "busybox:1.36"),
        ("*", "anything.example/at/all:1"),
        ("*", DIGEST),
        ("cafe", "cafe:latest"),
    ],
)
def test_a_pattern_is_about_an_image(pattern: str, image: str) -> None:
    assert matches(image, pattern)


@pytest.mark.parametrize(
    ("pattern", "image"),
    [
        pytest.param("nginx", "nginx-evil", id="longer"),
        pytest.param("nginx", "evil/nginx", id="another's"),
        pytest.param("nginx*", "nginx.evil.example/app", id="a host that begins alike"),
        pytest.param("nginx*", "nginx/app", id="an owner that begins alike"),
        pytest.param("registry.example/*", "registry.example.evil/app", id="a longer host"),
        pytest.param("registry.example/*", "registry.example:5000/app", id="another port"),
        pytest.param("registry.example/*", "evil.example/registry.example/app", id="as a path"),
        pytest.param("registry.example*", "registry.example/app", id="a path that looks so"),
        pytest.param("*/app", "evil.example/app", id="a star is no registry"),
        pytest.param("*.example.com/app", "example.com.evil/app", id="not below"),
        pytest.param("registry.example/team/*", "registry.example/team2/app", id="another team"),
        pytest.param("app:1", "app:2", id="another tag"),
        pytest.param("app:1", "app", id="no tag is latest"),
        pytest.param("app:1", f"app:1@{DIGEST}", id="a digest overrides the tag"),
        pytest.param("app:latest", f"app@{DIGEST}", id="a digest is not latest"),
        pytest.param(f"app@{DIGEST}", f"app@{OTHER_DIGEST}", id="another digest"),
        pytest.param(f"app@{DIGEST}", "app:1", id="a tag may move"),
        pytest.param("docker.io/*", "quay.io/app", id="another registry"),
        pytest.param("keelman/*", "localhost/keelman/app", id="this machine is one too"),
        pytest.param("docker.io/*", "f0e1", id="the start of an ID"),
        pytest.param("docker.io/*", DIGEST, id="an ID"),
        pytest.param("docker.io/*", "sha256:f0", id="the start of one, with its kind"),
        pytest.param("cafe", "cafe", id="may be an ID"),
        pytest.param("", "app", id="nothing"),
        pytest.param("App", "app", id="case"),
    ],
)
def test_a_pattern_is_not_about_another_image(pattern: str, image: str) -> None:
    assert not matches(image, pattern)


@pytest.mark.parametrize("image", ["f", "cafe", "0123456789ab", DIGEST, "sha256:0"])
def test_what_the_engine_could_take_for_an_id(image: str) -> None:
    assert may_be_id(image)


@pytest.mark.parametrize(
    "image", ["cafe:1", "docker.io/cafe", "cafe/cafe", f"cafe@{DIGEST}", "cafeteria", "sha256:x"]
)
def test_what_it_could_not(image: str) -> None:
    assert not may_be_id(image)


@pytest.mark.parametrize(
    ("pattern", "words"),
    [
        ("http://x", "no http://"),
        ("https://registry.example/*", "no http://"),
        ("nginx:", "nothing follows"),
        ("nginx@", "nothing follows"),
        ("registry.example:5000/app:", "nothing follows"),
        ("", "is empty"),
        (":1", "is empty"),
        ("@sha256:0", "is empty"),
        ("registry.example/", "is empty"),
        ("/app", "is empty"),
        ("a//b", "is empty"),
        ("a b", "' ' stands in no"),
        ("a,b", "',' stands in no"),
        ("nginx\n", "stands in no"),
    ],
)
def test_what_is_about_no_image_is_told(pattern: str, words: str) -> None:
    assert words in trouble(pattern)


@pytest.mark.parametrize(
    "pattern",
    [
        *("*", "nginx", "nginx:1.27", "keelman/*", "registry.example:5000/app", "app:[0-9]*"),
        *("localhost/a/b:?", f"app:1@{DIGEST}", "app@*", "[!a]pp", "docker.io/*", "a__b/c-d_e.f"),
    ],
)
def test_what_may_be_about_one_is_let_stand(pattern: str) -> None:
    assert trouble(pattern) == ""
