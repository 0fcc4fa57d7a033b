"""What tasks may ask for: the usual, until the operator says more, and then just that."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from keelman.allowed import Allowed, Refusal, capability, refusals
from keelman.task import Spec
from tests.unit.given import a_spec

# What is asked for, the field and the option of its refusal, and what allows it.
ASKED: dict[str, tuple[dict[str, Any], str, str, Allowed]] = {
    "host network": (
        {"network": "host"},
        "Network",
        "--allow-host-network",
        Allowed(host_network=True),
    ),
    "another's network": (
        {"network": "container:db"},
        "Network",
        "--allow-host-network",
        Allowed(host_network=True),
    ),
    "capability": (
        {"cap_add": ("NET_ADMIN",)},
        "CapAdd",
        "--allow-cap NET_ADMIN",
        Allowed(capabilities=("NET_ADMIN",)),
    ),
    "every capability": (
        {"cap_add": ("ALL",)},
        "CapAdd",
        "--allow-cap ALL",
        Allowed(capabilities=("ALL",)),
    ),
    "low port": (
        {"port_bindings": {"80/tcp": "1023"}},
        "PortBindings",
        "--allow-low-ports",
        Allowed(low_ports=True),
    ),
    "image": (
        {"image": "evil.example/app:1"},
        "Image",
        "--allow-image",
        Allowed(images=("keelman/*", "evil.example/*")),
    ),
}
SOME = Allowed(images=("keelman/*",))  # with no pattern at all every image is allowed


def refused(allowed: Allowed, **asked: Any) -> list[Refusal]:
    return list(refusals(a_spec(**{"image": "keelman/busybox:1"} | asked), allowed))


def test_a_task_that_asks_for_nothing_special_is_never_refused() -> None:
    assert refused(SOME) == []
    usual = {"exposed_ports": {"80/tcp": {}}, "port_bindings": {"81/tcp": "1024"}}
    assert refused(SOME, network="none", cap_drop=("ALL",), **usual) == []


@pytest.mark.parametrize(("asked", "field", "option", "_"), ASKED.values(), ids=ASKED)
def test_a_refusal_names_the_field_and_the_option(
    asked: dict[str, Any], field: str, option: str, _: Allowed
) -> None:
    (refusal,) = refused(SOME, **asked)
    assert (refusal.field, refusal.option) == (field, option)
    assert refusal.message.startswith(f"Task.{field}: ")
    assert refusal.message.endswith(option)


@pytest.mark.parametrize("asked_for", ASKED)
@pytest.mark.parametrize("allowed", ASKED)
def test_an_option_allows_just_what_it_is_for(asked_for: str, allowed: str) -> None:
    asked, _, option, _ = ASKED[asked_for]
    may = ASKED[allowed][3]
    # ALL is every capability; and whatever else is allowed, SOME images only.
    everything = allowed == "every capability" and asked_for == "capability"
    same = everything or option == ASKED[allowed][2]
    images = may.images or SOME.images
    may = Allowed(
        images=images,
        capabilities=may.capabilities,
        host_network=may.host_network,
        low_ports=may.low_ports,
    )
    assert (refused(may, **asked) == []) == same


def test_without_a_pattern_every_image_is_allowed() -> None:
    assert refused(Allowed(), image="evil.example/app") == []


def test_an_image_that_may_be_an_id_is_refused_with_the_reason() -> None:
    (refusal,) = refused(Allowed(images=("docker.io/*",)), image="cafe")
    assert "may be the ID of any image" in refusal.words


@pytest.mark.parametrize("asked", ["NET_ADMIN", "CAP_NET_ADMIN"])
@pytest.mark.parametrize("given", ["net_admin", "CAP_NET_ADMIN", "cap_net_admin", "ALL", "cap_all"])
def test_a_capability_goes_by_any_of_its_names(asked: str, given: str) -> None:
    assert refused(Allowed(capabilities=(given,)), cap_add=(asked,)) == []


@pytest.mark.parametrize("asked", ["ALL", "CAP_ALL"])
def test_all_is_allowed_by_all_alone(asked: str) -> None:
    assert refused(Allowed(capabilities=("NET_ADMIN", "SYS_ADMIN")), cap_add=(asked,)) != []


def test_every_capability_that_is_not_allowed_is_named() -> None:
    found = refused(Allowed(capabilities=("KILL",)), cap_add=("SYS_TIME", "KILL", "BPF"))
    assert [one.option for one in found] == ["--allow-cap SYS_TIME", "--allow-cap BPF"]


@pytest.mark.parametrize(
    ("bound", "low"),
    [("1", True), ("1023", True), ("01023", True), ("1024", False), ("65535", False)],
)
def test_ports_below_1024_are_low(bound: str, low: bool) -> None:
    assert (refused(Allowed(), port_bindings={"80/tcp": bound}) != []) == low


def test_the_port_in_the_container_may_be_any() -> None:
    assert refused(Allowed(), port_bindings={"1/tcp": "8080"}) == []


NAMES = st.sampled_from(["ALL", "NET_ADMIN", "cap_kill", "SYS_TIME"])
PATTERNS = st.sampled_from(
    ["*", "keelman/*", "nginx", "nginx:1", "registry.example/*", "a@sha256:0"]
)
SPECS = st.builds(
    a_spec,
    image=st.sampled_from(["keelman/a", "nginx:1", "nginx", "registry.example/b", "cafe"])
    | st.text(max_size=20),
    cap_add=st.lists(NAMES | st.text(max_size=5), max_size=3).map(tuple),
    network=st.sampled_from(["", "host", "none", "container:x"]) | st.text(max_size=9),
    port_bindings=st.dictionaries(
        st.sampled_from(["80/tcp", "1/udp"]),
        st.integers(-2, 70000).map(str) | st.text(max_size=6) | st.just("9" * 5000),
        max_size=2,
    ),
)
ALLOWED = st.builds(
    Allowed,
    images=st.lists(PATTERNS, max_size=3).map(tuple),
    capabilities=st.lists(NAMES, max_size=3).map(tuple),
    host_network=st.booleans(),
    low_ports=st.booleans(),
)


@given(SPECS, ALLOWED, ALLOWED)
@example(a_spec(port_bindings={"80/tcp": "٣"}), Allowed(), Allowed())
def test_who_is_allowed_more_is_never_refused_more(
    spec: Spec, one: Allowed, other: Allowed
) -> None:
    """Whatever a spec holds, also what no worker would take."""
    no_pattern = () in (one.images, other.images)
    both = Allowed(
        images=() if no_pattern else one.images + other.images,
        capabilities=one.capabilities + other.capabilities,
        host_network=one.host_network or other.host_network,
        low_ports=one.low_ports or other.low_ports,
    )
    assert set(refusals(spec, both)) <= set(refusals(spec, one))


@given(NAMES)
def test_a_name_that_was_made_plain_stays_as_it_is(name: str) -> None:
    assert capability(capability(name)) == capability(name)
