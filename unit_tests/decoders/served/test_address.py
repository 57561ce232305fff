"""Where a server is: what is written, what is understood, what is refused."""

import pytest

from decoders.served.address import Address, is_loopback, parse_address


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("openai:http://h:1", Address(scheme="openai", url="http://h:1/v1")),
        ("openai:http://h:1/", Address(scheme="openai", url="http://h:1/v1")),
        ("vllm:https://h/api/v1/#a/b", Address(scheme="vllm", url="https://h/api/v1", model="a/b")),
        ("anthropic:claude", Address(scheme="anthropic", url="https://api.anthropic.com", model="claude")),
        ("anthropic:http://h:1#m", Address(scheme="anthropic", url="http://h:1", model="m")),
        ("sglang:a/served.yaml", Address(scheme="sglang", table="a/served.yaml")),
        ("openai:http://[::1]:8/v1", Address(scheme="openai", url="http://[::1]:8/v1")),
    ],
)
def test_an_address_is_read(text, found):
    assert parse_address(text) == found


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("openai:", r"--model must be openai:URL\[#MODEL\] or openai:TABLE.yaml, got 'openai:'; for example"),
        ("openai:gpt", r"must be openai:URL"),
        ("anthropic:a/b", r"or anthropic:MODEL, got"),
        ("openai:http://", r"must be a URL with a host, got 'http://'; write http://HOST:PORT/v1"),
        ("openai:http://h:x", r"must be a URL, got 'http://h:x' \(.*\); write"),
        ("openai:http://h:0", r"must be a URL with a host"),
        ("openai:http://user:pw@h/v1", r"without user, password or query, got one for h; put the key into"),
        (
            "openai:https://h/v1?key=abc",
            r"got one for h; put the key into the environment variable PB_API_KEY",
        ),
    ],
)
def test_what_is_no_address_is_refused_without_showing_secrets(text, message):
    with pytest.raises(ValueError, match=message) as raised:
        parse_address(text)
    assert not {"pw", "abc"} & set(str(raised.value).replace("=", " ").replace(":", " ").split())


def test_what_stays_on_this_machine():
    for host in ("localhost", "127.0.0.1", "127.9.9.9", "[::1]"):
        assert is_loopback(f"http://{host}:8/v1")
    for host in ("10.0.0.1", "example.org", "localhost.example.org"):
        assert not is_loopback(f"http://{host}:8/v1")
