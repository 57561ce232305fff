"""Let go of what a failed item's traceback still holds, so that the next model finds the memory free.

A traceback keeps every frame of the failed call alive, and with it the model: in ``sys.last_exc`` until the
next test call, and in plugins that keep exception infos. ``traceback.clear_frames`` is not enough on Python
3.11 and 3.12, where a frame that once showed its ``f_locals`` keeps a stale copy of them.
"""

from __future__ import annotations

from collections.abc import Iterator


def release_frames(error: BaseException | None) -> int:
    """Clear every frame of *error*, its causes and contexts; return how many could be cleared.

    Frames that are still running (the caller's own) stay as they are.
    """
    cleared = 0
    for found in _chain(error):
        trace = found.__traceback__
        while trace is not None:
            try:
                trace.tb_frame.clear()
            except RuntimeError:  # a frame that is still executing
                trace = trace.tb_next
                continue
            _ = trace.tb_frame.f_locals
            cleared += 1
            trace = trace.tb_next
    return cleared


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    seen: set[int] = set()
    waiting = [error]
    while waiting:
        found = waiting.pop()
        if found is None or id(found) in seen:
            continue
        seen.add(id(found))
        yield found
        waiting += [found.__cause__, found.__context__]
        if isinstance(found, BaseExceptionGroup):
            waiting += found.exceptions
