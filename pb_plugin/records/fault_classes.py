"""THE table of what can go wrong with a sample; every failure in a record or a report has one of these."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class FaultClass:
    """One row of the table.

    Args:
        name: What stands in records, reports and files.
        means: What has happened.
        seen_by: How it is noticed.
        then: What the run does.
    """

    name: str
    means: str
    seen_by: str
    then: str


FAULT_CLASSES = (
    FaultClass(
        name="oom",
        means="one row alone does not fit into the memory of the device",
        seen_by="torch's OutOfMemoryError, after forwards were halved down to that row",
        then="the row fails; the others go on in smaller forwards",
    ),
    FaultClass(
        name="timeout",
        means="a step, a batch of a model with a loop of its own, a sample, a scorer or a tool took longer "
        "than `--pb-timeout`",
        seen_by="a timer of this process; in C code, where no Python runs, a timer of the C library",
        then="the rows of the step are decoded again one by one, and the one that hangs alone fails; a hang "
        "in C code ends the process with every stack: a worker is replaced, a run in one process ends with "
        "exit code 1, and the next one decodes the rows one by one and leaves out a row that was alone",
    ),
    FaultClass(
        name="worker_crash",
        means="the process that decoded the row ended without a word: `os._exit`, a segmentation fault, the "
        "killer of a machine without memory",
        seen_by="pytest-xdist; the rows it had in work stand in the store",
        then="a replacement decodes these rows one by one, and a row that ends two processes is left out; "
        "after two such rows a setting that has decoded nothing, and so on for its method and its model",
    ),
    FaultClass(
        name="model_error",
        means="the model raised, gave a wrong shape or numbers that are not finite, or lost its device",
        seen_by="the loop, around every forward; errors of CUDA that stick to a process by their text",
        then="a forward that raises is tried in halves, so that only the row to blame fails; a process that "
        "lost its device ends: a worker is replaced, a run in one process says so and stops with exit code 1",
    ),
    FaultClass(
        name="method_error",
        means="the unmasking method raised or broke a rule of the loop",
        seen_by="the loop, around and after every step",
        then="its rows fail; those of other methods go on",
    ),
    FaultClass(
        name="scorer_error",
        means="the scorer of the task raised or gave no score",
        seen_by="the run, around every call",
        then="what was decoded stays stored; only the score is missing, and the next run asks for it again",
    ),
    FaultClass(
        name="tool_error",
        means="LanguageTool or BERTScore gave no answer",
        seen_by="the client of the tool, with a limit on every answer",
        then="as with a scorer; a server that stopped answering is not asked again in this run",
    ),
)

ERROR_CLASSES = tuple(row.name for row in FAULT_CLASSES)
