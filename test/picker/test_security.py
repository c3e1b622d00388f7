"""Who may talk to the picker."""

from __future__ import annotations

import pytest

from sam_pt_ros.errors import UserError
from sam_pt_ros.picker.security import Access, is_loopback, new_token

HERE = Access("127.0.0.1", None, frozenset({"localhost", "robot", "robot.local"}))
ANYWHERE = Access("0.0.0.0", "a-long-token", HERE.names)


@pytest.mark.parametrize("host", ["127.0.0.1:8080", "localhost", "LOCALHOST:9000", "[::1]:8080"])
def test_this_machine_is_known_by_its_own_addresses_and_through_any_tunnel(host: str) -> None:
    assert HERE.expects_host(host)
    assert ANYWHERE.expects_host(host)


@pytest.mark.parametrize("host", ["192.168.1.7:8080", "[fe80::1]:80", "robot", "Robot.local:8080"])
def test_others_may_use_addresses_and_names_of_the_machine_only_where_told(host: str) -> None:
    assert ANYWHERE.expects_host(host)
    assert not HERE.expects_host(host)


@pytest.mark.parametrize(
    "host",
    [
        None,
        "",
        "evil.example",
        "127.0.0.1.evil.example:8080",
        "localhost.evil.example",
        "robot.evil.example",
        "127.0.0.1:8080:1",
        "127.0.0.1:port",
        "user@127.0.0.1",
        "127.0.0.1/path",
        "127.0.0.1; script-src *",
        "[::1",
    ],
)
def test_no_other_name_is_expected(host: str | None) -> None:
    assert not HERE.expects_host(host)
    assert not ANYWHERE.expects_host(host)


def test_a_name_that_was_listened_at_is_expected() -> None:
    assert Access("robot.lan", "a-long-token").expects_host("robot.lan:8080")


@pytest.mark.parametrize(
    ("origin", "good"),
    [
        ("http://127.0.0.1:8080", True),
        ("HTTP://127.0.0.1:8080", True),
        ("http://127.0.0.1:8081", False),
        ("http://localhost:8080", False),
        ("https://127.0.0.1:8080", False),
        ("http://evil.example", False),
        ("null", False),
        ("", False),
    ],
)
def test_only_the_page_itself_is_a_good_origin(origin: str, good: bool) -> None:
    assert HERE.expects_origin(origin, "127.0.0.1:8080", needed=True) is good


def test_an_origin_may_be_left_out_only_where_none_is_needed() -> None:
    assert HERE.expects_origin(None, "127.0.0.1:8080", needed=False)
    assert not HERE.expects_origin(None, "127.0.0.1:8080", needed=True)


def test_the_token_is_known() -> None:
    assert ANYWHERE.knows("a-long-token")
    for wrong in (None, "", "a-long-toke", "a-long-token ", "ä-long-token", "\udcff\udcfe"):
        assert not ANYWHERE.knows(wrong)
    assert HERE.knows(None)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.7", "robot", ""])
def test_who_can_be_reached_needs_a_token(host: str) -> None:
    with pytest.raises(UserError, match="needs a token"):
        Access(host, None)


@pytest.mark.parametrize("token", ["", "short", "with space and more", "semicolon;semicolon"])
def test_a_token_must_be_hard_to_guess_and_fit_into_an_address(token: str) -> None:
    with pytest.raises(UserError, match="--token"):
        Access("127.0.0.1", token)


def test_new_tokens_are_good_and_never_the_same() -> None:
    tokens = {new_token() for _ in range(20)}
    assert len(tokens) == 20
    cookies = {Access("0.0.0.0", token).cookie for token in tokens}
    assert len(cookies) == 20


def test_loopback_is_told_from_others() -> None:
    assert all(map(is_loopback, ("127.0.0.1", "127.8.0.1", "::1", "localhost")))
    assert not any(map(is_loopback, ("0.0.0.0", "10.0.0.1", "::", "robot", "")))
