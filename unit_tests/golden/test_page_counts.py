"""The traces that docs/methods.md counts for every method are those that are there."""

import json
from pathlib import Path

import pytest

from unit_tests.pages import page, rows_of, text

TRACES = Path(__file__).resolve().parents[2] / ".." / "shared" / "golden" / "traces"

pytestmark = pytest.mark.skipif(
    not (TRACES / "klass.json").is_file(), reason="the golden traces are development data not present here"
)


def everything(case):
    return True


def without_truncation(case):
    return "suffix truncation active" not in case.get("flags", [])


def with_threshold(case):
    return case["params"]["threshold"] is not None


def without_threshold(case):
    return not with_threshold(case)


def with_rule(name):
    """Cases of the later Fast-dLLM caches, which have a threshold, a factor or neither."""
    return lambda case: next((key for key in ("factor", "threshold") if key in case["params"]), None) == name


def one_switch(case):
    return case["params"]["logits_eos_inf"] != case["params"]["confidence_eos_eot_inf"]


def asking(name):
    return lambda case: case["params"]["alg"] == name


FILES_OF = {
    "confidence": {
        "llada_low_confidence": everything,
        "fastdllm_topk": everything,
        "llada_batch_left_padded": everything,
        "fastdllm_prefix_cache_aug": with_rule(None),
        "fastdllm_dual_cache_aug": with_rule(None),
        "llada_cfg": everything,
        "llada_eos_options": one_switch,
        "klass_repo_topk": asking("default"),
        "fastdllm_prefix_cache": without_threshold,
        "fastdllm_dual_cache": without_threshold,
        "dinfer_hierarchy_fast": without_threshold,
        "stable_diffcoder": lambda case: case["params"].get("threshold", 0.95) is None,
    },
    "margin": {"topk_margin": everything, "klass_repo_topk": asking("topk_margin")},
    "entropy": {"topk_entropy": everything},
    "threshold": {
        "fastdllm_threshold": everything,
        "pb_dream_threshold": everything,
        "fastdllm_dream_cache": everything,
        "fastdllm_prefix_cache": with_threshold,
        "fastdllm_dual_cache": with_threshold,
        "fastdllm_prefix_cache_aug": with_rule("threshold"),
        "fastdllm_dual_cache_aug": with_rule("threshold"),
        "dinfer_threshold": everything,
        "stable_diffcoder": lambda case: case["params"].get("threshold", 0.95) is not None,
    },
    "credit": {"dinfer_credit": everything},
    "hierarchy": {"dinfer_hierarchy": everything, "dinfer_hierarchy_fast": with_threshold},
    "hierarchy_remask": {"dinfer_hierarchy_remask": everything},
    "prophet": {"prophet": everything},
    "adablock": {"adablock": everything, "adablock_prefix": everything, "adablock_dual": everything},
    "freedave": {"freedave": lambda case: "eager_acceptance_mode" not in case["params"]},
    "lopa": {"lopa": everything},
    "dawn": {"dawn": everything},
    "sub_blocks": {
        "fast_dllm_v2": everything,
        "fast_dllm_v2_block_cache": everything,
        "fast_dllm_v2_batch": everything,
    },
    "factor": {
        "fastdllm_factor": everything,
        "pb_dream_factor": everything,
        "fastdllm_prefix_cache_aug": with_rule("factor"),
        "fastdllm_dual_cache_aug": with_rule("factor"),
    },
    "dus": {"dus": everything},
    "slowfast": {"slowfast": without_truncation},
    "eb": {"eb_bits_blocks": everything, "eb_nats": everything},
    "pc_sampler": {"pc_sampler": everything, "pc_linear_position": everything},
    "rcr": {"rcr": everything},
    "remdm": {"remdm": everything},
    "klass": {"klass": everything, "klass_dream": everything},
    "wino": {"wino": everything},
    "dream_schedule": {
        "pb_dream_topk": everything,
        "dream_official": everything,
        "dream_official_eps": everything,
        "dream_batch_left_padded": everything,
    },
}
"""Which of the cases in which file the golden tests decode with a method."""

N_OTHERWISE = {"confidence": 1, "dawn": 22, "klass": 4, "pc_sampler": 6, "sub_blocks": 4}
"""Cases that are known to part, for the reasons that the golden tests check."""


def counted():
    return {row[0]: row[4] for row in rows_of(text(page("methods")))}


@pytest.mark.parametrize("name", list(counted()))
def test_the_traces_of_a_method_are_counted(name):
    total = 0
    for file, belongs in FILES_OF.get(name, {}).items():
        cases = json.loads((TRACES / f"{file}.json").read_text(encoding="utf-8"))["cases"]
        total += sum(map(belongs, cases))
    expected = f"{total - N_OTHERWISE.get(name, 0)}/{total}" if total else "-"
    assert counted()[name] == expected
