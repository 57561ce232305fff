"""A small SEDD, loaded in each way, and its folder to change."""

import json
import shutil

import pytest

from decoders.models.sedd import absorb as sedd
from decoders.models.sedd import sampler as sedd_sampler
from decoders.protocols import ModelRequest


def request(folder, **fields):
    return ModelRequest(name="sedd", source=str(folder), **{"device": "cpu", **fields})


@pytest.fixture(scope="module")
def model(tiny_sedd):
    return sedd.load(request(tiny_sedd["absorb"].folder))


@pytest.fixture(scope="module")
def samplers(tiny_sedd):
    return {graph: sedd_sampler.load(request(tiny.folder)) for graph, tiny in tiny_sedd.items()}


@pytest.fixture
def folder(tiny_sedd, tmp_path):
    return shutil.copytree(tiny_sedd["absorb"].folder, tmp_path / "checkpoint")


def rewrite(folder, section, **fields):
    path = folder / "config.json"
    config = json.loads(path.read_text(encoding="utf-8"))
    if section is None:
        config |= fields
    else:
        config[section] |= fields
    path.write_text(json.dumps(config), encoding="utf-8")
