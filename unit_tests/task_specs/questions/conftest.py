"""Fixtures of the training tests: one thread, and the tokenizer of the tiny model."""

import json

import pytest


@pytest.fixture(scope="session", autouse=True)
def one_thread():
    """Keep torch to one thread: the tensors are small, and rounding depends on the number of threads."""
    import torch

    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def tokenizer():
    """The tokenizer of the tiny model, read as a checkpoint's is read."""
    from tokenizers import Tokenizer

    from decoders.text.hf_tokenizer import HFTokenizer
    from task_specs.questions.vocabulary import tokenizer_json

    return HFTokenizer(Tokenizer.from_str(json.dumps(tokenizer_json())), name="tiny")
