"""What `decoders.network.transformers_interior` assumes of the installed transformers."""

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from decoders.network.transformers_interior import growing_cache, with_cache


class Recorded:
    """A cache that stands in for one of transformers' own."""

    def __init__(self):
        self.layers = []

    def update(self, key, value, layer_idx, *_, **__):
        self.layers.append((layer_idx, tuple(key.shape), tuple(value.shape)))
        return key, value

    def get_seq_length(self):
        return 0


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=11, hidden_size=8, intermediate_size=8, num_hidden_layers=2, num_attention_heads=2
    )
    return LlamaForCausalLM(config).eval().model


def test_every_layer_hands_its_keys_and_values_to_the_cache_it_was_given(network):
    """Layers call ``update(key, value, layer)`` and attend to what it returns, in every tested version."""
    seen = Recorded()
    mask = torch.ones(1, 1, 3, 3, dtype=torch.bool)
    places = torch.arange(3)[None]
    asked = {"input_ids": places, "attention_mask": mask, "position_ids": places, "use_cache": False}
    network(**asked, **with_cache(network, seen))
    assert seen.layers == [(layer, (1, 2, 3, 4), (1, 2, 3, 4)) for layer in range(2)]


def test_a_growing_cache_holds_every_token_it_was_shown(network):
    cache = growing_cache(network.config)
    network(input_ids=torch.arange(3)[None], use_cache=True, **with_cache(network, cache))
    assert cache.get_seq_length() == 3


def test_without_a_cache_nothing_is_handed_over(network):
    assert with_cache(network, None) == {}


def test_a_network_that_takes_no_cache_is_refused_by_name():
    class Odd:
        def forward(self, ids, memory):
            return ids

    message = "a network must take a cache as cache or past_key_values, got Odd with self, ids, memory"
    with pytest.raises(TypeError, match=message):
        with_cache(Odd(), object())
