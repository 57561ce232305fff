"""What `decoders.network.transformers_interior` assumes of the installed transformers."""

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from decoders.network.attention_maps import AttentionMaps
from decoders.network.transformers_interior import (
    ATTENTION,
    fresh_rotary,
    growing_cache,
    recompute_layers,
    use_full_precision_rope,
    use_own_attention,
    with_cache,
)


class Recorded:
    """A cache that stands in for one of transformers' own."""

    def __init__(self):
        self.layers = []

    def update(self, key, value, layer_idx, *_, **__):
        self.layers.append((layer_idx, tuple(key.shape), tuple(value.shape)))
        return key, value

    def get_seq_length(self):
        return 0


@pytest.fixture
def network():
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=11, hidden_size=8, intermediate_size=8, num_hidden_layers=2, num_attention_heads=2
    )
    return LlamaForCausalLM(config).eval()


def test_every_layer_hands_its_keys_and_values_to_the_cache_it_was_given(network):
    """Layers call ``update(key, value, layer)`` and attend to what it returns, in every tested version."""
    seen = Recorded()
    mask = torch.ones(1, 1, 3, 3, dtype=torch.bool)
    places = torch.arange(3)[None]
    asked = {"input_ids": places, "attention_mask": mask, "position_ids": places, "use_cache": False}
    network.model(**asked, **with_cache(network.model, seen))
    assert seen.layers == [(layer, (1, 2, 3, 4), (1, 2, 3, 4)) for layer in range(2)]


def test_a_growing_cache_holds_every_token_it_was_shown(network):
    cache = growing_cache(network.config)
    network.model(input_ids=torch.arange(3)[None], use_cache=True, **with_cache(network.model, cache))
    assert cache.get_seq_length() == 3


def test_without_a_cache_nothing_is_handed_over(network):
    assert with_cache(network.model, None) == {}


def test_a_network_that_takes_no_cache_is_refused_by_name():
    class Odd:
        def forward(self, ids, memory):
            return ids

    message = "a network must take a cache as cache or past_key_values, got Odd with self, ids, memory"
    with pytest.raises(TypeError, match=message):
        with_cache(Odd(), object())


def hidden(network, mask, **options):
    places = torch.arange(mask.shape[3])[None]
    asked = {"input_ids": places, "attention_mask": mask, "position_ids": places, "use_cache": False}
    with torch.inference_mode():
        return network.model(**asked, **options).last_hidden_state


def test_a_bool_mask_of_four_dimensions_is_taken_as_it_is(network):
    """No causal mask is laid over it: with a full mask the first position sees the last token."""
    use_own_attention(network)
    full = torch.ones(1, 1, 3, 3, dtype=torch.bool)
    blind = full.clone()
    blind[..., 2] = False
    assert not torch.equal(hidden(network, full)[:, 0], hidden(network, blind)[:, 0])
    causal = torch.ones(3, 3, dtype=torch.bool).tril()[None, None]
    network.set_attn_implementation("sdpa")
    published = hidden(network, causal)
    network.set_attn_implementation(ATTENTION)
    assert torch.equal(hidden(network, causal), published)


def test_the_registered_attention_is_called_by_every_layer_with_the_options_of_the_forward(network):
    use_own_attention(network)
    assert network.config._attn_implementation == ATTENTION
    maps = AttentionMaps(first=0, n_layers=2)
    hidden(network, torch.ones(1, 1, 3, 3, dtype=torch.bool), attention_maps=maps)
    torch.testing.assert_close(maps.mean().sum(dim=-1), torch.ones(1, 3))


def test_a_fresh_rotary_embedding_has_the_table_of_the_config(network):
    expected = 10_000.0 ** (-torch.arange(0, 4, 2) / 4)
    torch.testing.assert_close(fresh_rotary(network, network.config).inv_freq, expected)


def test_layers_rotate_by_the_tables_of_the_one_embedding_of_the_model(network):
    """Float32 tables turn up in a bfloat16 network's queries, and only there is the difference seen."""
    use_own_attention(network.to(torch.bfloat16))
    mask = torch.ones(1, 1, 3, 3, dtype=torch.bool)
    before = hidden(network, mask)
    seen = []
    use_full_precision_rope(network)
    network.model.rotary_emb.register_forward_hook(lambda module, asked, found: seen.append(found))
    after = hidden(network, mask)
    ((cosines, sines),) = seen
    assert cosines.dtype == sines.dtype == torch.float32
    assert after.dtype == before.dtype == torch.bfloat16
    torch.testing.assert_close(after, before, atol=0.1, rtol=0.0)


def test_layers_that_are_computed_twice_give_the_same_gradient(network):
    network.train().requires_grad_(True)
    mask, gradients, runs = torch.ones(1, 1, 3, 3, dtype=torch.bool), [], []
    network.model.layers[0].self_attn.register_forward_pre_hook(lambda *_: runs.append(1))
    for twice in (False, True):
        if twice:
            recompute_layers(network)
        network.zero_grad()
        network.model(
            input_ids=torch.tensor([[1, 2, 3]]), attention_mask=mask, use_cache=False
        ).last_hidden_state.sum().backward()
        gradients.append(network.model.embed_tokens.weight.grad.clone())
    assert len(runs) == 3
    torch.testing.assert_close(*gradients)
