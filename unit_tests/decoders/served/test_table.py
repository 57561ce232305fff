"""``served.yaml``: what is read, what is refused, and which server answers for which settings."""

import json
import re
import socket
import sys

import pytest

from decoders.served.address import Address
from decoders.served.client.budget import Spending
from decoders.served.facts import ServerError
from decoders.served.fleet import Fleet
from decoders.served.options import ServedOptions, SpendLimits
from decoders.served.starting import Started
from decoders.served.table import ServerEntry, read_table, table_settings

SERVERS = """
engine: sglang
model: m
servers:
  - settings: {threshold: 0.9, block_length: 4}
    url: http://127.0.0.1:1
  - settings: {block_length: 4, threshold: 0.95}
    start: my-server --port {port} --name "two words"
    ready_seconds: 5
"""


@pytest.fixture
def write(tmp_path):
    def written(text):
        path = tmp_path / "served.yaml"
        path.write_text(text)
        return path

    return written


def test_a_table_is_read(write):
    table = read_table(write(SERVERS))
    assert (table.engine, table.model) == ("sglang", "m")
    assert table.servers == (
        ServerEntry(settings=(("block_length", 4), ("threshold", 0.9)), url="http://127.0.0.1:1/v1"),
        ServerEntry(
            settings=(("block_length", 4), ("threshold", 0.95)),
            start=("my-server", "--port", "{port}", "--name", "two words"),
            ready_s=5.0,
        ),
    )


def test_the_sweep_walks_over_the_servers_of_a_table_and_over_one_for_a_url(write):
    found = table_settings(Address(scheme="sglang", table=str(write(SERVERS))))
    assert [settings["threshold"] for settings in found] == [0.9, 0.95]
    assert table_settings(Address(scheme="openai", url="http://h/v1")) == [{}]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[", "must be a table of servers in YAML"),
        ("3", "must be a mapping, got 3; see docs/served.md"),
        ("servers: []", "servers must be a list of at least one, got []; add one"),
        ("engine: x\nservers: [{url: 'http://h'}]", "engine must be one of openai, "),
        ("model: 3\nservers: [{url: 'http://h'}]", "model must be a text, got 3; put it in quotes"),
        ("servers: [{url: 'http://h', port: 3}]", "got a problem with 'port'"),
        ("urls: []", "must have the keys engine, model, servers, got a problem with 'urls'"),
        ("servers: [{settings: {a: 1}}]", "server 1 must have either url or start, got neither; give one"),
        ("servers: [{url: 'http://h', start: 'x {port}'}]", "either url or start, got both"),
        ("servers: [{start: 'x {port} \"'}]", "start must be a command with closed quotes"),
        ("servers: [{start: my-server}]", "start must be a command with {port} where its port goes"),
        (
            "servers: [{settings: [], start: 'x {port}', ready_seconds: 0}]",
            "ready_seconds must be a number above 0",
        ),
        ("servers: [{settings: {a: [1]}, url: 'http://h'}]", "settings must be names with a text or number"),
        ("servers: [{url: 'http://h?k=v'}]", "server 1 must be a URL without user, password or query"),
        (
            "servers: [{settings: {a: 1}, url: 'http://h'}, {settings: {b: 1}, url: 'http://h'}]",
            "must have the same names in settings and differ in their values",
        ),
        (
            "servers: [{settings: {a: 1}, url: 'http://h'}, {settings: {a: 1}, url: 'http://i'}]",
            "must have the same names in settings and differ in their values",
        ),
    ],
    ids=range(16),
)
def test_what_is_no_table_names_file_and_cure(write, text, message):
    path = write(text)
    with pytest.raises(ValueError, match=re.escape(message)) as raised:
        read_table(path)
    assert str(path) in str(raised.value)


ECHO = """
import json, sys
sys.path.insert(0, {root!r})
from unit_tests.decoders.served.scripted import Engine, page, serving, stream
import time
port, threshold = int(sys.argv[1]), sys.argv[2]
info = {{"version": "1", "model_path": threshold, "dllm_algorithm": "LowConfidence"}}
with serving(Engine([stream("from " + threshold)], owner="sglang", pages={{"/get_server_info": info}}), port):
    time.sleep(120)
"""


@pytest.fixture
def fleet(write, tmp_path):
    """Return a function that makes a fleet of started servers; every one is stopped."""
    from unit_tests.pages import ROOT

    made, started = [], Started()
    script = tmp_path / "echo_server.py"
    script.write_text(ECHO.format(root=str(ROOT)))

    def make(*starts, ready=20):
        entries = "".join(
            f"  - settings: {{threshold: {0.9 + index / 100}, block_length: 4}}\n"
            f"    start: {json.dumps(start)}\n    ready_seconds: {ready}\n"
            for index, start in enumerate(starts)
        )
        path = write(f"engine: sglang\nservers:\n{entries}")
        address = Address(scheme="sglang", table=str(path))
        options = ServedOptions(attempts=2, first_wait_s=0.01)
        made.append(Fleet(address, options, Spending(SpendLimits()), "m", started))
        return made[-1]

    make.command = f"{sys.executable} {script} {{port}}"
    yield make
    for each in made:
        each.close()


def test_one_started_server_runs_at_a_time_and_each_answers_for_its_settings(fleet):
    both = fleet(f"{fleet.command} low", f"{fleet.command} high")
    first = both.server({"threshold": 0.9, "block_length": 4})
    assert first.facts.settings["model_path"] == "low"
    assert "{port}" in first.facts.where, "the key does not move with the port"
    again = both.server({"threshold": 0.9, "block_length": 4})
    assert again is first, "it goes on running"
    second = both.server({"threshold": 0.91, "block_length": 4})
    assert second.facts.settings["model_path"] == "high"
    assert not answers(first)


def answers(server):
    """Return whether somebody listens there."""
    port = int(server.url.split(":")[2].removesuffix("/v1"))
    try:
        socket.create_connection(("127.0.0.1", port), timeout=2).close()
    except ConnectionRefusedError:
        return False
    return True


LOW, HIGH = ({"threshold": threshold, "block_length": 4} for threshold in (0.9, 0.91))


def test_one_command_for_two_settings_is_started_once(fleet):
    both = fleet(f"{fleet.command} same", f"{fleet.command} same")
    assert both.server(LOW).url == both.server(HIGH).url


def test_models_of_a_run_have_one_started_server_between_them(fleet):
    one, same, other = (fleet(f"{fleet.command} {name}") for name in ("low", "low", "high"))
    first = one.server(LOW)
    assert same.server(LOW).url == first.url, "that command runs already"
    one.close()
    assert answers(first), "another model wants it now"
    second = other.server(LOW)
    assert answers(second)
    assert not answers(first), "two would have to share the device"
    other.close()
    assert not answers(second)


def test_a_setting_without_a_server_says_so(fleet):
    with pytest.raises(
        ServerError, match=r"must have one with threshold=0.5, got none; add it to its servers"
    ):
        fleet(f"{fleet.command} low").server({"threshold": 0.5})


@pytest.mark.parametrize(
    ("start", "ready", "message"),
    [
        ("no-such-command-{port}", 20, "must go on running, but it ended with status 1: .*FileNotFoundError"),
        (
            f"{sys.executable} -c 'print(\"out of memory {{port}}\"); raise SystemExit(3)'",
            20,
            "ended with status 3: out of",
        ),
        (
            f"{sys.executable} -c 'import time; time.sleep(60)  # {{port}}'",
            0.3,
            r"within 0.3 s, got no output; raise its",
        ),
    ],
    ids=["no command", "it ends", "it does not answer"],
)
def test_a_server_that_does_not_come_up_shows_its_last_lines(fleet, start, ready, message):
    with pytest.raises(ServerError, match=message):
        fleet(start, ready=ready).server({"threshold": 0.9, "block_length": 4})
