"""A scripted server, and what a model behind it makes of a few rows."""

import os
from dataclasses import dataclass

import pytest

pytest.importorskip("openai", reason='served models need pip install "parallelbench-pytest[served]"')
pytest.importorskip("anthropic", reason='served models need pip install "parallelbench-pytest[served]"')

from decoders.protocols import ModelRequest
from decoders.rows import Decoded, Row, Setting
from decoders.served.loading import fingerprint_with, load
from decoders.served.options import ServedOptions
from decoders.served.wire import chat_ids
from pb_plugin.planning.native import Native
from unit_tests.decoders.served import scripted


@pytest.fixture(autouse=True)
def _no_keys(monkeypatch):
    for name in [n for n in os.environ if n.endswith("_API_KEY") or n.lower().endswith("_proxy")]:
        monkeypatch.delenv(name)


def served_row(key, *, text=None, temperature=0.0, length=32, **fields):
    """Return a row that asks *text*."""
    chat = [{"role": "user", "content": f"question {key}" if text is None else text}]
    return Row(
        key=key,
        prompt_ids=tuple(chat_ids(chat)),
        gen_length=length,
        setting=Setting(method=Native(), temperature=temperature),
        sample_id=f"s{key}",
        **fields,
    )


@dataclass
class Outcome:
    """What came of some rows: results by key, and what the server was asked."""

    found: dict
    engine: scripted.Engine
    fingerprint: str

    @property
    def one(self):
        (only,) = self.found.values()
        return only

    @property
    def error(self):
        assert not isinstance(self.one, Decoded), self.one
        return str(self.one.error)


@pytest.fixture
def ask():
    """Return a function that runs rows through a model behind a scripted server."""

    def run(engine, rows=1, *, scheme="openai", params=None, model="", **options):
        options = {"first_wait_s": 0.001, "longest_wait_s": 0.05, "attempts": 3, **options}
        asked = [served_row(key) for key in range(rows)] if isinstance(rows, int) else rows
        with scripted.serving(engine):
            url = engine.url.removesuffix("/v1") if scheme == "anthropic" else engine.url
            source = f"{scheme}:{url}{model or ('#claude-x' if scheme == 'anthropic' else '')}"
            request = ModelRequest(name="mine", source=source, served=ServedOptions(**options))
            generator = load(request)
            try:
                fingerprint = fingerprint_with(request, params or {})
                found = {o.key: o for o in generator.generate_each(asked, params or {})}
            finally:
                generator.close()
        assert sorted(found) == sorted(row.key for row in asked)
        return Outcome(found, engine, fingerprint)

    return run


def text_of(decoded):
    """Return the text of an answer."""
    from decoders.served.wire import WireTokenizer

    return WireTokenizer().decode(decoded.ids)
