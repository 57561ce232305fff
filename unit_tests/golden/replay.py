"""Published decode traces, stored as numbers: read them, decode their cases with our loop, compare canvases.

What is compared is the canvas of every forward: it holds the prompt, every commit and every re-mask so far.
"""

import json
from importlib import import_module
from pathlib import Path

from decoders.loop.batching import sweep
from decoders.protocols import ModelRequest
from decoders.rows import Decoded, Row

GOLDEN = Path(__file__).resolve().parents[2] / ".." / "shared" / "golden"
TRACES = GOLDEN / "traces"


def cases_of(name):
    return json.loads((TRACES / f"{name}.json").read_text(encoding="utf-8"))["cases"]


def models_of(family, checkpoint=None):
    """Return our model by how the published code saw the logit of MASK."""
    source = str(GOLDEN / "checkpoints" / (checkpoint or family))
    request = ModelRequest(name=family, source=source, dtype="float32", device="cpu")
    plain, suppressed = (import_module(f"decoders.models.{family}").load(request) for _ in range(2))
    plain.suppressed_ids = ()
    assert suppressed.suppressed_ids == (suppressed.mask_id,)
    return {"as_is": plain, "neg_inf": suppressed}


def models_by_family(families):
    """Return our models by family and by how the published code saw the logit of MASK."""
    return {(family, kind): model for family in families for kind, model in models_of(family).items()}


class IdsAsText:
    """A tokenizer for methods that name tokens by their text: here the text is a list of ids."""

    def encode(self, text):
        return [int(token) for token in text.split()]


class Recording:
    """A denoiser that keeps the canvases it is called on, under the row's context.

    With *grid* it says that its blocks have that length and begin with the prompt.
    """

    def __init__(self, inner, grid=None):
        self.inner, self.canvases, self.tokenizer = inner, {}, IdsAsText()
        if grid is not None:
            self.block_length = grid

    def __getattr__(self, name):
        return getattr(self.inner, name)

    def _keep(self, canvas, attend, contexts):
        for tokens, is_real, context in zip(canvas, attend, contexts, strict=True):
            self.canvases.setdefault(context, []).append(tokens[is_real].tolist())

    def __call__(self, canvas, attend, query, contexts):
        self._keep(canvas, attend, contexts)
        return self.inner(canvas, attend, query, contexts)

    def with_attention(self, canvas, attend, query, first, contexts, layers=None):
        self._keep(canvas, attend, contexts)
        return self.inner.with_attention(canvas, attend, query, first, contexts, layers)

    def with_cache(self, canvas, attend, query, contexts, cache, rows, window):
        self._keep(canvas, attend, contexts)
        return self.inner.with_cache(canvas, attend, query, contexts, cache, rows, window)


def gen_length(case):
    """Return the generated positions, those behind a cut at an end of text too."""
    if "canvas_length" in case:
        return case["canvas_length"] - case["prompt_len"]
    given = case["params"]
    names = ("gen_length", "max_gen_length", "max_new_tokens")
    return next(given[name] for name in names if name in given)


def generated_at_first(case, mask_id):
    """Return the generated region before the first forward: masks, and what the case wrote into it."""
    region = [mask_id] * gen_length(case)
    for offset, token in case["params"].get("constraints", {}).items():
        region[int(offset)] = token
    return region


def decoded(models, cases, setting_of, *, grid_of=lambda case: None):
    """Decode *cases*, those of one model and grid in one sweep.

    Returns:
        {case id: (Decoded, canvas of every forward)}.
    """
    groups, found = {}, {}
    for case in cases:
        groups.setdefault((case["mask_logit"], grid_of(case)), []).append(case)
    for (kind, grid), members in groups.items():
        recording = Recording(models[kind], grid)
        rows = [
            Row(
                key=case["id"],
                prompt_ids=tuple(case["prompt"]),
                gen_length=gen_length(case),
                setting=setting_of(case),
                template_ids=tuple(generated_at_first(case, recording.mask_id)),
                context=case["id"],
            )
            for case in members
        ]
        for outcome in sweep(recording, rows):
            assert isinstance(outcome, Decoded), outcome
            found[outcome.key] = (outcome, recording.canvases[outcome.key])
    return found


def outcomes(model, rows):
    """Decode *rows*, none of which fails; return the outcomes by key."""
    found = {outcome.key: outcome for outcome in sweep(model, rows)}
    assert all(isinstance(outcome, Decoded) for outcome in found.values()), found
    return found


def commits_of(outcome, start):
    """Return the (position, token) commits of every forward, positions in the row; fixed ones have none."""
    steps = [[] for _ in range(outcome.nfe)]
    for place, (token, step) in enumerate(zip(outcome.ids, outcome.commit_step, strict=True)):
        if step >= 0:
            steps[step].append([start + place, token])
    return steps


def published_canvases(case, mask_id):
    """Return the canvas fed to every published forward, and the final row."""
    canvas = case["prompt"] + generated_at_first(case, mask_id)
    canvases = []
    for step in case["steps"]:
        canvases.append(list(canvas))
        for position, token in step["commit"]:
            assert canvas[position] == mask_id
            canvas[position] = token
        for position in step.get("remask", []):
            assert canvas[position] != mask_id
            canvas[position] = mask_id
        for position, token in step.get("rewrite", []):
            canvas[position] = token
    assert canvas[: len(case["final_ids"])] == case["final_ids"] or flags_of(case)
    return [*canvases, canvas]


def flags_of(case):
    return case.get("flags", [])


def our_canvases(case, outcome, canvases):
    """Return the canvas of every forward of ours, and the final row."""
    assert outcome.nfe == len(canvases)
    return [*canvases, case["prompt"] + list(outcome.ids)]
