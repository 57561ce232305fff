"""The tokenizer whose ids the questions are written in."""

import json

import pytest


@pytest.fixture(scope="session")
def tokenizer():
    """The tokenizer of the tiny model, read as a checkpoint's is read."""
    from tokenizers import Tokenizer

    from decoders.text.hf_tokenizer import HFTokenizer
    from task_specs.questions.vocabulary import tokenizer_json

    return HFTokenizer(Tokenizer.from_str(json.dumps(tokenizer_json())), name="tiny")
