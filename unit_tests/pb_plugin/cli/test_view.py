"""``pb view``: what it says, that it ends with the run, and what it does where none is going on."""

import json
import re
import urllib.request
from threading import Thread

import pytest

from pb_plugin.cli import main, view
from pb_plugin.viewing.server import Server
from unit_tests.pb_plugin.viewing.conftest import GoingOn


def test_it_serves_the_run_and_ends_with_it(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(view, "EVERY_S", 0.02)
    monkeypatch.setattr(view, "GRACE_S", 0.0)
    run = GoingOn(tmp_path / "store")
    run.decode("copy")
    codes, lines = [], []
    monkeypatch.setattr("builtins.print", lambda *said, **how: lines.append(said[0]))
    thread = Thread(target=lambda: codes.append(main(["view", str(run.store), "--json"])), daemon=True)
    thread.start()
    while not lines:
        thread.join(0.02)
        assert thread.is_alive() or lines
    (url,) = re.findall(r"^(http://127\.0\.0\.1:\d+/) shows the run that is going on, and ends", lines[0])
    with urllib.request.urlopen(f"{url}live.json", timeout=10) as answer:
        assert json.load(answer)["done"] == 6
    with urllib.request.urlopen(url, timeout=10) as answer:
        assert b'id="live-state"' in answer.read()
    run.decode("shuffle")
    run.end()
    thread.join(20)
    assert codes == [0]
    assert json.loads(lines[1]) == {"store": str(run.store), "ended": True}


def test_without_a_run_the_newest_report_is_served_until_it_is_stopped(tmp_path, capsys, monkeypatch):
    run = GoingOn(tmp_path / "store")
    run.decode("copy")
    run.end()

    def stop(server):
        assert "ParallelBench report" in server.answers["/"]()
        assert set(server.answers) == {"/"}
        raise KeyboardInterrupt

    monkeypatch.setattr(Server, "serve_forever", stop)
    assert main(["view", str(run.store)]) == 130
    assert re.search(
        r"^http://127\.0\.0\.1:\d+/ shows \S+\.json; no run is going on", capsys.readouterr().out
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--port", "x"), "--port must be a whole number"),
        (("--port", "-1"), "--port must be a whole number"),
        ((), "store must be a directory, got "),
    ],
    ids=["no number", "negative", "no store"],
)
def test_what_cannot_be_served_is_named(tmp_path, capsys, options, message):
    assert main(["view", str(tmp_path / "none"), *options]) == 2
    assert capsys.readouterr().err.startswith(f"pb: {message}")


def test_without_jinja2_the_message_names_the_extra(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("pb_plugin.report.html.target.find_spec", lambda name: None)
    assert main(["view", str(tmp_path)]) == 2
    assert capsys.readouterr().err.startswith("pb: pb view must have jinja2, got none installed; ")
