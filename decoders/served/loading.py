"""A served model from ``--model``: what its results depend on, asked of the server, and the generator."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec
from typing import Any

from decoders.protocols import ModelRequest
from decoders.served.address import parse_address
from decoders.served.client.budget import Spending
from decoders.served.facts import ServerError
from decoders.served.fleet import Fleet
from decoders.served.generator import ServedGenerator
from decoders.served.options import ServedOptions
from decoders.served.starting import Started
from decoders.text.hf_tokenizer import HFTokenizer

RESULT_CODE = ("decoders.served.wire", "decoders.served.facts", "decoders.served.dialects")
"""What an answer depends on of our code: how it was asked for is no part, as money is not spent twice."""

NEEDED = ("openai", "anthropic", "httpx2")


def fingerprint_with(request: ModelRequest, params: Mapping[str, Any]) -> str:
    """Return the hash of what the server for *params* of `native` says of itself.

    Raises:
        ServerError: It cannot be used.
    """
    server = _fleet(request).server(params)
    server.known(params)
    return server.facts.fingerprint()


def load(request: ModelRequest) -> ServedGenerator:
    """Return the model behind the address that *request* names; nothing is asked yet.

    Raises:
        ServerError: A package is missing.
        ValueError: The address, its table or the tokenizer cannot be read.
    """
    options = _options(request)
    folder = options.tokenizer
    return ServedGenerator(
        name=request.name,
        fleet=_fleet(request),
        options=options,
        counter=None if folder is None else HFTokenizer.from_folder(folder, name=folder.name),
    )


def _fleet(request: ModelRequest) -> Fleet:
    """Return the servers of *request*, the same for its fingerprint and its answers."""
    if "fleet" not in request.session:
        absent = [name for name in NEEDED if find_spec(name) is None]
        if absent:
            raise ServerError(
                f"served models need the packages {', '.join(NEEDED)}, got no {absent[0]}; "
                'pip install "parallelbench-pytest[served]"'
            )
        address = parse_address(request.source or request.name)
        options = _options(request)
        spending = request.session.setdefault("spending", Spending(options.limits))
        started = request.session.setdefault("of_run", {}).setdefault("started", Started())
        request.session["fleet"] = Fleet(address, options, spending, request.name, started)
    fleet: Fleet = request.session["fleet"]
    return fleet


def _options(request: ModelRequest) -> ServedOptions:
    found: ServedOptions = request.served or ServedOptions()
    return found
