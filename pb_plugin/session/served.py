"""What a run with models behind a server must leave out, said before anything is asked."""

from __future__ import annotations

from collections.abc import Iterable

from pb_plugin.planning.option_grammar import ModelChoice
from pb_plugin.planning.options import Options


def check_served(models: Iterable[ModelChoice], options: Options, n_workers: int) -> None:
    """Check that what was asked for suits the models behind a server, where there is one.

    Raises:
        ValueError: It does not.
    """
    served = [model.text for model in models if model.is_served]
    if not served:
        return
    for is_wrong, what, cure in (
        (n_workers > 1, "-n", "one process asks several questions at once: --pb-concurrency N"),
        (options.engine != "local", "--pb-engine", "one process keeps the budget and the started server"),
        (options.timing, "--pb-timing", "its records hold the seconds of every answer"),
        (options.cache != "none", "--pb-cache", "a server has caches of its own"),
        (bool(options.block_length), "--block-length", "say the server's as --unmasking native:NAME=VALUE"),
    ):
        if is_wrong:
            raise ValueError(f"{what} must be left out with {served[0]}, got it; {cure}")
    if options.budget is not None and options.budget.usd is not None and options.prices is None:
        raise ValueError("--pb-budget usd must come with --pb-prices, got none; name a file of prices")
