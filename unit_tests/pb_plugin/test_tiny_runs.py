"""The shipped model through the plugin: a learned network in a run, a gate that notices damage, batches."""

import shutil

import pytest

pytest.importorskip("transformers", reason="network models need the extra models")

from decoders.models.tiny import shipped_folder

pytestmark = pytest.mark.usefixtures("loaded_libraries")

EASY = ("--task", "copy,reverse,insert_index", "--unmasking", "confidence", "--k", "8", "--samples", "20")
GATES = [
    argument
    for task in ("copy", "reverse", "insert_index")
    for argument in ("--pb-gate", f"{task}:score@k8>=90")
]


def damaged_copy(folder, layer):
    """Copy the shipped model to *folder* with the weights of one layer set to zero."""
    import torch
    from safetensors.torch import load_file, save_file

    shutil.copytree(shipped_folder(), folder)
    weights = load_file(folder / "model.safetensors")
    hit = [name for name in weights if name.startswith(f"model.transformer.blocks.{layer}.")]
    assert len(hit) == 9
    weights |= {name: torch.zeros_like(weights[name]) for name in hit}
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


def test_the_shipped_model_passes_a_gate_that_a_damaged_one_fails(suite, tmp_path):
    healthy = suite.run("--model", "tiny", *EASY, *GATES)
    assert healthy.ret == 0
    healthy.assert_outcomes(passed=3 + 3)
    damaged = damaged_copy(tmp_path / "damaged", layer=2)
    broken = suite.run("--model", f"tiny={damaged}", *EASY, *GATES)
    assert broken.ret == 1
    broken.stdout.fnmatch_lines(["gate FAILED: score is *, the gate asks for >= 90"])
    broken.stdout.fnmatch_lines(["batch check: 0 of 8 rows differ when decoded alone"])


@pytest.mark.slow
def test_it_reads_compact_prompts_and_other_tasks_are_skipped_with_the_reason(suite):
    result = suite.run(
        *("--model", "tiny", "--task", "copy,w2s_easy,list_copy", "--task", "copy:cot=true"),
        *("--samples", "2", "--unmasking", "confidence", "--k", "8", "--pb-grammar", "later", "-rs"),
    )
    result.assert_outcomes(passed=1, skipped=3)
    for task in ("w2s_easy", "list_copy", "copy_cot"):
        result.stdout.fnmatch_lines(
            [f"*unscored: the model reads compact prompts only, and there are none for task {task}*"]
        )
    (record, other) = suite.records()
    for found in (record, other):
        assert found.parts["prompt_style"] == "compact"
        assert found.scores["accuracy"] == 1.0


@pytest.mark.slow
def test_a_line_that_is_too_long_for_it_fails_with_its_rule(suite):
    result = suite.run("--model", "tiny", "--task", "copy:n=9", "--samples", "1", "--k", "8")
    result.assert_outcomes(failed=9)
    result.stdout.fnmatch_lines(["*input of a prompt of 'tiny' must have 1 to 19 tokens, got 28*"])


@pytest.mark.slow
def test_one_row_at_a_time_and_64_give_the_same_records_up_to_rounding(suite):
    """A row differs only where two tokens or positions are as good as equal; such rows are counted."""
    methods = ("--unmasking", "confidence", "--unmasking", "threshold:gamma=0.9", "--k", "1,4")
    asked = ("--model", "tiny", "--samples", "2", *methods)
    found = {}
    for batch in ("1", "64"):
        store = suite.pytester.path / f"store{batch}"
        result = suite.run(*asked, "--task", TASKS, "--pb-batch", batch, store=store)
        assert result.ret == 0
        found[batch] = {record.decode_key: (record.ids, record.nfe) for record in suite.records(store)}
    assert found["1"].keys() == found["64"].keys()
    assert len(found["1"]) == 12 * 2 * 3
    differ = sum(found["1"][key] != found["64"][key] for key in found["1"])
    assert differ <= 0.02 * len(found["1"])


TASKS = (
    "copy,sort,reverse,shuffle,replace_index,replace_random,insert_index,insert_random,remove_index,remove_random,"
    "latin_square,sudoku"
)
