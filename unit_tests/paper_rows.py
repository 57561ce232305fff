"""What docs/paper.md says of every figure and table of the paper: claim, command, what is shown.

Plain data; the numbers come from stored runs (`unit_tests.paper_numbers`). Source of figures and claims:
ParallelBench (arXiv 2510.04767), told in our own words.
"""

from __future__ import annotations

from dataclasses import dataclass, field

TOP_K = "--unmasking random,confidence,margin,entropy"
WITH = "`--model llada=DIR`"
"""What a person with weights writes instead of `ideal`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Shown:
    """Scores of one task on one curve.

    Args:
        run: Name of the stored run.
        task: Task id.
        method: The method's name.
        settings: Labels of settings, in the order in which they are shown.
        block: Block length, or None where it is the canvas.
    """

    run: str
    task: str
    method: str
    settings: tuple[str, ...]
    block: int | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """One figure or table of the paper.

    Args:
        what: Its name there.
        claim: What it shows, in our words.
        command: What makes ours, after ``pytest bench_tests`` or as a command of ``pb``.
        weights: What a person with weights runs.
        shown: The scores that came out here; empty where *instead* says where or why not.
        instead: See *shown*.
    """

    what: str
    claim: str
    command: str
    weights: str
    shown: tuple[Shown, ...] = ()
    instead: str = field(default="")


def _ks(*ks: int) -> tuple[str, ...]:
    return tuple(f"k={k}" for k in ks)


def _each(run: str, tasks: tuple[str, ...], method: str, settings: tuple[str, ...]) -> tuple[Shown, ...]:
    return tuple(Shown(run=run, task=task, method=method, settings=settings) for task in tasks)


RANDOM_PAIR = ("replace_index", "replace_random", "shuffle")
FIVE = ("copy", "reverse", "replace_index", "replace_random", "shuffle")

ROWS = (
    Row(
        what="Figure 1",
        claim="Tokens chosen together can be right alone and wrong together.",
        command="--task shuffle --unmasking random --k 1,2,4",
        weights=WITH,
        shown=_each("core_ideal", ("shuffle",), "random", _ks(1, 2, 4)),
    ),
    Row(
        what="Table 1, Figure 2",
        claim="On list operations loss and accuracy have closed forms, and a trained model follows them.",
        command="pb theory list_shuffle:n=10 list_replace_random:n=10",
        weights="`--model llada=DIR` of a checkpoint fine-tuned on each operation",
        instead="[below](#list-operations-in-full)",
    ),
    Row(
        what="Figure 3, Waiting Line",
        claim="One right answer keeps its score at any speed; replace random falls, shuffle falls most.",
        command=f"--task copy,reverse,replace_index,replace_random,shuffle {TOP_K} --unmasking threshold",
        weights=WITH,
        shown=(
            *_each("core_ideal", FIVE, "random", _ks(1, 2, 8)),
            *_each("core_tiny", FIVE, "random", _ks(1, 2, 8)),
        ),
    ),
    Row(
        what="Figure 3, Text Writing",
        claim="Grammar falls with speed, faster where the answer is freer: paraphrasing, w2s easy, hard.",
        command="--task paraphrasing,w2s_easy,w2s_hard --unmasking confidence,random",
        weights=WITH,
        shown=_each("text_ideal", ("paraphrasing", "w2s_easy", "w2s_hard"), "confidence", _ks(1, 4, 16)),
    ),
    Row(
        what="Figure 3, Puzzles",
        claim="The square with many solutions loses its lead over the sudoku with one as speed grows.",
        command=f"--task latin_square,sudoku {TOP_K}",
        weights=WITH,
        shown=(
            *_each("core_ideal", ("latin_square", "sudoku"), "confidence", _ks(1, 2, 8)),
            *_each("core_tiny", ("latin_square", "sudoku"), "confidence", _ks(1, 2, 8)),
        ),
    ),
    Row(
        what="Figure 4",
        claim="In longer lists a parallel model keeps reverse and loses shuffle; one by one it is reversed.",
        command="--task shuffle:n=5,10,15,20 --task reverse:n=5,10,15,20 --unmasking confidence --k 2",
        weights="`--model openai:URL`, `--model anthropic:MODEL`, `--model ar=DIR` and `--unmasking native`",
        shown=tuple(
            Shown(run="lengths_ideal", task=f"{task}_n{n}", method="confidence", settings=("k=2",))
            for task in ("reverse", "shuffle")
            for n in (5, 20)
        ),
    ),
    Row(
        what="Figures 5, 14, 15",
        claim="Short blocks help waiting lines and hurt text.",
        command=f"{TOP_K} --k 2 --block-length 4,8,16,32",
        weights=WITH,
        shown=tuple(
            Shown(run=run, task="shuffle", method="random", settings=("k=2",), block=block)
            for run in ("blocks_ideal", "blocks_tiny")
            for block in (4, 16, None)
        ),
    ),
    Row(
        what="Figure 6",
        claim="The tasks span what known benchmarks do not: GSM8K and HumanEval lie among the easy ones.",
        command="pb analyses .pb",
        weights="`pb reference gsm8k`, `pb reference humaneval` and the runs of Figures 3 and 5",
        instead="[below](#parallelizability-and-order)",
    ),
    Row(
        what="Figure 7",
        claim="With the best threshold for every sample, decoding would be faster and better than any curve.",
        command="pb analyses .pb --oracle threshold",
        weights=WITH,
        instead="[below](#the-oracle)",
    ),
    Row(
        what="Figures 8a, 8b, 16",
        claim="Fine-tuning lifts what has one right answer at any speed, and not what has several.",
        command="--task replace_index,replace_random,shuffle --unmasking random",
        weights="a checkpoint fine-tuned on the tasks, by `--model llada=DIR`",
        shown=_each("core_tiny", RANDOM_PAIR, "random", _ks(1, 4, 32)),
        instead="`tiny`, which was trained on the twelve tasks alone:",
    ),
    Row(
        what="Figures 8c, 17, Table 4",
        claim="Thinking first softens the fall, at eight times the tokens.",
        command="--task replace_index,replace_random,shuffle --task shuffle:cot=true --unmasking random",
        weights="the same and `pb report .pb --layout comparison`",
        shown=(
            *_each("cot_ideal", ("shuffle", "shuffle_cot"), "random", _ks(1, 2, 4)),
            *_each("cot_ideal", ("replace_random", "replace_random_cot"), "random", _ks(2, 4)),
        ),
        instead="On letters `ideal` and a trained `tiny` do think, and it helps where what they write first "
        "is independent and comes first ([thinking first](tuning.md#thinking-first)). On people `ideal` does "
        "not: it writes the answer alone into a canvas eight times as long, so that most tokens of a step "
        "are padding.",
    ),
    Row(
        what="Figures 8d, 18, 19",
        claim="Samplers that mask tokens again (RCR, ReMDM) do not help.",
        command="--task replace_random,shuffle --unmasking random,rcr,remdm --k 2,4",
        weights=WITH,
        shown=tuple(
            Shown(run=run, task=task, method=method, settings=_ks(2, 4))
            for run in ("remask_ideal",)
            for task in ("replace_random", "shuffle")
            for method in ("random", "rcr", "remdm")
        ),
    ),
    Row(
        what="Figures 8e, 20",
        claim="Uniform diffusion may change any token later; does that repair parallel errors?",
        command="--model sedd=DIR --task replace_index,replace_random,shuffle --unmasking native",
        weights="SEDD checkpoints fine-tuned on the tasks ([models](models.md))",
        instead="open: small SEDDs of either graph learned to copy, but not yet the open tasks "
        "([fine-tuning](tuning.md#what-it-does-here))",
    ),
    Row(
        what="Figures 9, 10",
        claim="Margin and entropy decode like confidence.",
        command=f"{TOP_K}",
        weights=WITH,
        shown=tuple(
            Shown(run=run, task="shuffle", method=method, settings=_ks(2, 4))
            for run in ("core_ideal",)
            for method in ("confidence", "margin", "entropy")
        ),
    ),
    Row(
        what="Figures 11, 12",
        claim="The factor rule follows the threshold over a narrower range of speeds.",
        command="--unmasking factor:f=0.7,1.0,1.3,1.6,1.9 --unmasking threshold",
        weights=WITH,
        shown=(
            Shown(run="core_ideal", task="shuffle", method="factor", settings=("f=0.7", "f=1", "f=1.9")),
            Shown(
                run="core_ideal",
                task="shuffle",
                method="threshold",
                settings=("gamma=0.5", "gamma=0.7", "gamma=0.9"),
            ),
        ),
    ),
    Row(
        what="Figures 13, 25",
        claim="A prefix cache costs some score and leaves the trend.",
        command="--unmasking confidence --block-length 8 --pb-cache prefix",
        weights=WITH,
        shown=tuple(
            Shown(run=run, task=task, method="confidence", settings=_ks(2, 4), block=8)
            for run in ("cache_none_tiny", "cache_prefix_tiny")
            for task in RANDOM_PAIR
        ),
    ),
    Row(
        what="Figures 21 to 24",
        claim="The same holds for LLaDA 1.0, LLaDA 1.5, Dream and DiffuCoder.",
        command=f"{TOP_K} --unmasking threshold",
        weights="`--model llada=DIR`, `--model dream=DIR` ([models](models.md))",
        instead="not measured here: these weights are not part of this project",
    ),
    Row(
        what="Table 2, Table 3",
        claim="The tasks, their metrics and prompts.",
        command="pb browse",
        weights="nothing",
        instead="[tasks](tasks.md): own prompts and data; `--pb-data DIR` reads the published ones",
    ),
    Row(
        what="Table 5",
        claim="At two tokens per step diffusion models fall behind on what has several answers, at n = 15.",
        command="--task waiting_line_n15 --unmasking confidence --k 2",
        weights=f"{WITH} and `pb report .pb --layout comparison`",
        shown=_each(
            "n15_ideal", ("reverse_n15", "replace_random_n15", "shuffle_n15"), "confidence", ("k=2",)
        ),
    ),
    Row(
        what="Table 6",
        claim="The same comparison for text.",
        command="--task paraphrasing,summarization,w2s_easy,w2s_medium,w2s_hard --unmasking confidence --k 2",
        weights=f"{WITH}, LanguageTool, and `pb report .pb --layout comparison`",
        shown=_each("text_ideal", ("paraphrasing", "summarization", "w2s_hard"), "confidence", ("k=2",)),
    ),
    Row(
        what="Table 7",
        claim="The same comparison for puzzles.",
        command="--task latin_square,sudoku --unmasking confidence --k 2",
        weights=f"{WITH} and `pb report .pb --layout comparison`",
        shown=_each("n15_ideal", ("latin_square", "sudoku"), "confidence", ("k=2",)),
    ),
)
