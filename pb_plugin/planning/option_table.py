"""The table of every option: name, type, help, and how its text becomes a value."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

from decoders.loading.allowed_code import allowed_text
from decoders.served.options import parse_spend_limits
from pb_plugin.planning.limits import parse_limits
from pb_plugin.planning.option_grammar import (
    parse_float,
    parse_floor,
    parse_int,
    parse_pbx,
    parse_shard,
    parse_sizes,
)

Kind = Literal["items", "lines", "int", "path", "flag", "text"]
"""items: repeatable and comma-separated; lines: repeatable, each use one value; flag: given or not."""


def not_empty(text: str, *, name: str) -> str:
    """Return *text* without blanks around it.

    Raises:
        ValueError: Nothing is left.
    """
    if not text.strip():
        raise ValueError(f"{name} must be not empty, got {text!r}; leave the option out for its default")
    return text.strip()


@dataclass(frozen=True, kw_only=True, slots=True)
class OptionRow:
    """One row of the table.

    Args:
        field: The field of `Options`.
        is_selector: Selectors have plain names (``--model``), everything else is ``--pb-*``.
        kind: How it is written.
        help: One or two sentences for ``--help``, with the default.
        metavar: Placeholder in the help.
        choices: The only values allowed.
        parse: Turns one text into its value, or raises ValueError with the ``name`` it is given.
    """

    field: str
    kind: Kind
    help: str
    is_selector: bool = False
    metavar: str | None = None
    choices: tuple[str, ...] = ()
    parse: Callable[..., Any] = not_empty

    @property
    def flag(self) -> str:
        """The command-line option."""
        return ("--" if self.is_selector else "--pb-") + self.field.replace("_", "-")

    @property
    def ini(self) -> str:
        """The configuration key that says the same; the command line wins over it."""
        return f"pb_{self.field}"


TABLE: tuple[OptionRow, ...] = (
    OptionRow(
        field="model",
        is_selector=True,
        kind="items",
        metavar="MODEL",
        help="Model: NAME, NAME=DIR_OR_HUB_ID[@REVISION], package.module:attribute, or a server "
        "([NAME=]openai:URL[#MODEL], anthropic:MODEL); repeatable, names and hub ids may be "
        "separated by commas. Default: ideal, the exact reference that needs no weights; "
        "ideal=DIR takes the tokenizer in DIR.",
    ),
    OptionRow(
        field="task",
        is_selector=True,
        kind="items",
        metavar="TASK",
        help="Task: NAME[:PARAMS] (shuffle:n=15), a .yaml file or package.module:attribute. Default: the "
        "tasks of the benchmark; list_ops run only when named here; waiting_line_n15 names ten variants.",
    ),
    OptionRow(
        field="unmasking",
        is_selector=True,
        kind="items",
        metavar="METHOD",
        help="Unmasking method: NAME[:PARAMS] or package.module:attribute[:PARAMS], PARAMS = key=v1,v2;key=v."
        " Default: random, left_to_right, confidence, threshold. (pytest's -k matches substrings: -k random "
        "also selects the task insert_random, --unmasking random does not.)",
    ),
    OptionRow(
        field="k",
        is_selector=True,
        kind="items",
        metavar="K",
        parse=partial(parse_int, minimum=1),
        help="Tokens per step of the methods that have k. Default: 1,2,4,8,16,32.",
    ),
    OptionRow(
        field="block_length",
        is_selector=True,
        kind="items",
        metavar="N",
        parse=partial(parse_int, minimum=1),
        help="Positions decoded before the next ones may start; divides the canvas. Default: the canvas.",
    ),
    OptionRow(
        field="samples",
        is_selector=True,
        kind="int",
        metavar="M",
        parse=partial(parse_int, minimum=1),
        help="Samples per task: the first M of a fixed stratified order. Default: all.",
    ),
    OptionRow(
        field="seed",
        is_selector=True,
        kind="items",
        metavar="SEED",
        parse=partial(parse_int, minimum=0),
        help="Seed of every random draw; several repeat whatever draws (random methods, temperature above 0, "
        "ideal), and are shown together. Default: 0.",
    ),
    OptionRow(
        field="temperature",
        kind="items",
        metavar="T",
        parse=partial(parse_float, low=0.0),
        help="Sampling temperature, 0 is greedy; several give several curves. Default: 0.",
    ),
    OptionRow(
        field="cache",
        kind="text",
        metavar="CACHE",
        choices=("none", "prefix", "dual", "block"),
        help="Reuse keys and values: inside a block, prefix recomputes from the block on, dual the block "
        "only; block, for models with trained blocks, computes finished blocks once and is exact. "
        "Default: none.",
    ),
    OptionRow(
        field="store",
        kind="path",
        metavar="DIR",
        help="Where records are kept and reused from. Default: .pb in the project.",
    ),
    OptionRow(field="fresh", kind="flag", help="Decode everything again instead of reusing stored records."),
    OptionRow(
        field="data",
        kind="path",
        metavar="DATA",
        help="A checkout of the released ParallelBench files, or FILE.jsonl exported from elsewhere. "
        "Default: the project's own data.",
    ),
    OptionRow(
        field="gate",
        kind="lines",
        metavar="GATE",
        help='A condition that decides the exit code, such as "PB80>=4"; repeatable.',
    ),
    OptionRow(
        field="save_baseline",
        kind="path",
        metavar="FILE",
        help="Write what this run measured of every sample, without texts, for --pb-baseline. "
        "Default: nothing.",
    ),
    OptionRow(
        field="baseline",
        kind="path",
        metavar="FILE",
        help="Fail where this run is shown to be worse than FILE by more than the margin, sample by "
        "sample. Default: no comparison.",
    ),
    OptionRow(
        field="gate_at",
        kind="text",
        metavar="PBX",
        parse=parse_pbx,
        help="The PBx that --pb-baseline compares: PB80, PB90(content). Default: PB80.",
    ),
    OptionRow(
        field="margin",
        kind="text",
        metavar="POINTS",
        parse=partial(parse_float, low=0.0, high=100.0),
        help="How many points of a score --pb-baseline lets be lost; of PBx always 5 percent. Default: 1.",
    ),
    OptionRow(
        field="gate_strict",
        kind="flag",
        help="Fail also where a drop beyond the margin is observed but not shown.",
    ),
    OptionRow(
        field="html",
        kind="path",
        metavar="FILE",
        help="Write the report to one HTML file at the end of the run. Default: none; pb report --html does "
        "it later.",
    ),
    OptionRow(
        field="trace",
        kind="flag",
        help="Store every commit of what is decoded, with its confidence, and what was masked again, which "
        "the report shows step by step; --pb-fresh decodes what is stored again. Default: final commits.",
    ),
    OptionRow(
        field="floor",
        kind="lines",
        metavar="TASK=ACCURACY",
        parse=parse_floor,
        help="Items of TASK fail below this accuracy (copy=0.9); repeatable.",
    ),
    OptionRow(
        field="grammar",
        kind="text",
        metavar="WHAT",
        help="LanguageTool for the text tasks: http://HOST:PORT, a folder, download, later (decode now, score"
        " with pb rescore) or none. Default: auto, what PB_LANGUAGETOOL names or was downloaded before.",
    ),
    OptionRow(
        field="bertscore",
        kind="text",
        metavar="ENCODER",
        help="Encoder of BERTScore: roberta-large (fetched from the hub) or FOLDER@LAYER. Default: none.",
    ),
    OptionRow(
        field="batch",
        kind="text",
        metavar="N",
        parse=parse_sizes,
        help="Most rows in one forward; 1 removes float differences of batch shapes. Several (1,8,64) are "
        "measured one after the other by --pb-timing. Default: by memory.",
    ),
    OptionRow(
        field="sweep",
        kind="text",
        metavar="HOW",
        choices=("group", "isolated", "gate"),
        help="group: decode all settings of a task together; isolated: item by item; gate: only what the "
        "gates need until their verdicts are certain. Default: group.",
    ),
    OptionRow(
        field="share",
        kind="text",
        metavar="HOW",
        choices=("on", "off"),
        help="Whether settings of a sample that come to the same canvas share its forward. Default: on.",
    ),
    OptionRow(
        field="timeout",
        kind="text",
        metavar="SECONDS",
        parse=parse_limits,
        help="How long one forward, scorer or tool may take, and a sample: FORWARD or FORWARD,SAMPLE. What "
        "takes longer is ended and named. Default: 1800,86400; inf is no limit.",
    ),
    OptionRow(
        field="keep_failures",
        kind="flag",
        help="Do not try samples again that failed in an earlier run. Default: every failure is tried again.",
    ),
    OptionRow(
        field="timing",
        kind="flag",
        help="Measure tokens per second: isolated, warm, synchronised, through pytest-benchmark.",
    ),
    OptionRow(
        field="dtype",
        kind="text",
        metavar="DTYPE",
        choices=("float32", "bfloat16"),
        help="Number type of the model's weights. Default: what the model family asks for.",
    ),
    OptionRow(
        field="device",
        kind="text",
        metavar="DEVICE",
        help="Torch device (cpu, cuda, cuda:1). Default: the best one present.",
    ),
    OptionRow(
        field="device_map",
        kind="text",
        metavar="MAP",
        choices=("auto",),
        help="auto: spread the layers of each model over all GPUs that its process sees, for models larger "
        "than one GPU (extra spread). Default: one device.",
    ),
    OptionRow(
        field="compile",
        kind="flag",
        help="Compile networks of transformers (torch.compile; takes half a minute or more at the start). "
        "Default: off.",
    ),
    OptionRow(
        field="allow_remote_code",
        kind="lines",
        metavar="REPO@REVISION",
        parse=allowed_text,
        help="Run a checkpoint's own code for --model remote=REPO: OWNER/NAME@COMMIT, or FOLDER@HASH with the"
        " sha256 of its code; repeatable. Read the code first: it can do whatever you can.",
    ),
    OptionRow(
        field="concurrency",
        kind="int",
        metavar="N",
        parse=partial(parse_int, minimum=1),
        help="Requests at once to a served model. Default: 8, and 1 where its steps are read from counters.",
    ),
    OptionRow(
        field="budget",
        kind="text",
        metavar="LIMITS",
        parse=parse_spend_limits,
        help="What a run may ask of served models at the most: requests=1000,usd=5 or one of them; dollars "
        "need --pb-prices. Default: no limit.",
    ),
    OptionRow(
        field="prices",
        kind="path",
        metavar="FILE",
        help="YAML file of prices: MODEL: {input: 0.25, output: 1.0}, dollars for a million tokens. "
        "Default: none.",
    ),
    OptionRow(
        field="tokenizer",
        kind="path",
        metavar="DIR",
        help="Tokenizer that counts the tokens of answers whose server does not. Default: they are unknown.",
    ),
    OptionRow(
        field="shard",
        kind="text",
        metavar="I/N",
        parse=parse_shard,
        help="Run part I of N of the items, for job arrays: pb merge joins the stores, and the same command "
        "without it prints PBx and judges gates. Default: all items.",
    ),
    OptionRow(
        field="workers_per_gpu",
        kind="int",
        metavar="N",
        parse=partial(parse_int, minimum=1),
        help="How many workers share a GPU (pytest-xdist, Ray). Default: 1.",
    ),
    OptionRow(
        field="gpus_per_worker",
        kind="int",
        metavar="N",
        parse=partial(parse_int, minimum=1),
        help="How many GPUs each worker has (pytest-xdist, Ray), for --pb-device-map auto. Default: 1.",
    ),
    OptionRow(
        field="engine",
        kind="text",
        metavar="ENGINE",
        choices=("local", "ray"),
        help="Where items run: local, here; ray, on the machines of a Ray cluster. Default: local.",
    ),
    OptionRow(
        field="ray_address",
        kind="text",
        metavar="ADDRESS",
        help="The cluster of --pb-engine ray: auto, the one that this machine belongs to, HOST:PORT, or "
        "local, a new one here. Default: what RAY_ADDRESS says or runs here, else local.",
    ),
    OptionRow(
        field="ray_workers",
        kind="int",
        metavar="N",
        parse=partial(parse_int, minimum=1),
        help="How many workers --pb-engine ray starts. Default: one for each GPU of the cluster, or for each "
        "CPU where no model needs a GPU.",
    ),
)
