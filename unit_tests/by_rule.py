"""DAPD and DAWN written down once more from their rules, with lists and loops, one row and step at a time.

Neither reads the code of `decoders.unmasking`. p maps a position of the row to the probability of its best
token; look[i][j] is how much position i attends to position j.
"""


def dapd(p, look, masked, length, *, variant, tau_min, tau_max, eligible):
    """Return the positions that DAPD commits.

    Args:
        p: Confidence by position.
        look: Attention, a list of lists.
        masked: All masked positions of the generated region.
        length: Positions of the generated region.
        variant: staged or direct.
        tau_min: Threshold of edges at the start.
        tau_max: Threshold of edges at the end.
        eligible: Masked positions of the block.
    """
    filled = 1 - len(masked) / length
    tau = tau_min + (tau_max - tau_min) * filled
    committed = set()
    candidates = set(eligible)
    if variant == "direct":
        committed = {i for i in eligible if round_to_bfloat16(p[i]) == 1.0}
        candidates -= committed
    elif filled >= 0.5:
        committed = {i for i in eligible if p[i] >= 0.9}
    mean = {(i, j): (look[i][j] + look[j][i]) / 2 for i in candidates for j in candidates if i != j}
    degree = {i: sum(mean[i, j] for j in candidates if i != j) for i in candidates}
    if not candidates:
        return committed
    top_degree, top_p = max(degree.values()) or 1.0, max(p[i] for i in candidates)
    priority = {i: degree[i] / top_degree * p[i] / top_p for i in candidates}
    accepted = []
    for i in sorted(candidates, key=lambda i: (-priority[i], i)):
        largest = max((mean[i, j] for j in candidates if i != j), default=0.0) or 1.0
        if all(mean[i, j] / largest <= tau for j in accepted):
            accepted.append(i)
    return committed | set(accepted)


def round_to_bfloat16(p):
    """Return *p* with the 8 bits that bfloat16 keeps, for p in [0.5, 1]; a tie goes to the even one."""
    return p if p < 0.5 else round(p * 2**8) / 2**8 if p < 1 - 2**-9 else 1.0


def dawn(p, look, known, block, *, tau_sink, tau_edge, tau_induce, tau_low):
    """Return the positions that DAWN commits.

    Args:
        p: Confidence by position of the whole row.
        look: Attention between all positions of the row.
        known: Positions before the end of the block that are not masked positions of it.
        block: Masked positions of the block.
        tau_sink: Mean attention above which nobody depends on a position.
        tau_edge: Attention that makes a position depend on another.
        tau_induce: Confidence for positions that depend on known ones.
        tau_low: Confidence for the others.
    """
    row = range(len(look))
    sinks = {j for j in row if sum(look[i][j] for i in row) / len(row) > tau_sink}

    def depends(i, on):
        return i != on and on not in sinks and look[i][on] >= tau_edge

    sure = {i for i in block if p[i] >= 0.9}
    anchors = {i for i in known if p[i] >= 0.9}
    supported = {i for i in block if p[i] >= tau_induce and any(depends(i, on) for on in anchors)}
    after_both = {i for i in block if any(depends(i, on) for on in sure & supported)}
    left = {i for i in block if p[i] >= tau_low} - sure - supported - after_both
    taken = sure | supported
    while left:
        best = max(left, key=lambda i: (p[i], -i))
        taken.add(best)
        left = {i for i in left - {best} if not depends(i, best) and not depends(best, i)}
    return taken or {max(block, key=lambda i: (p[i], -i))}
