"""Whether what was measured on a photo is enough to teach from."""

from __future__ import annotations

from typing import NamedTuple

from stages.filter.measures import Measures
from stages.filter.params import Params
from stages.filter.review.decisions import Decision

CHECKS = {
    "taken_out": "",
    "review": "",
    "decode": "",
    "size": "",
    "aspect": "aspect",
    "gray": "chroma_p95",
    "tint": "tint_spread",
    "exposure": "",
    "blur": "sharpness",
    "strip": "strip",
    "exact_duplicate": "",
    "near_duplicate": "",
}
"""Every check in the order in which they are made, and the measure that it looks at, where it is one
alone."""


TONED_CHROMA = 40
"""Prints are toned less than this, in Lab units; what is more colorful and of one hue is fire, sky or a
flower."""


class Objection(NamedTuple):
    """The check (a key of :data:`CHECKS`) that speaks against a photo, and why in words."""

    check: str
    reason: str


TAKEN_OUT = Objection("taken_out", "taken out for good")


def objection(measures: Measures, params: Params) -> Objection | None:
    """Return what speaks against a photo that decoded or not; None if nothing does."""
    if measures.damage:
        return Objection("decode", measures.damage)
    short_side = min(measures.width, measures.height)
    if short_side < params.min_short_side:
        return Objection("size", f"short side under {params.min_short_side}")
    if measures.aspect > params.max_aspect:
        return Objection("aspect", f"aspect over {params.max_aspect:g}")
    # A red kite before a gray sky covers too little to show in the percentile, but not in the spread.
    if measures.chroma_p95 < params.min_chroma_p95 and measures.tint_spread <= params.max_gray_spread:
        return Objection("gray", f"gray: chroma_p95 under {params.min_chroma_p95:g}")
    if _is_toned(measures, params):
        return Objection("tint", f"of one tone: tint_spread under {params.min_tint_spread:g}")
    if measures.lightness_p99 < params.min_lightness_p99:
        return Objection("exposure", f"under-exposed: lightness_p99 under {params.min_lightness_p99:g}")
    if measures.white > params.max_white:
        return Objection("exposure", f"over-exposed: white over {params.max_white:g}")
    if measures.sharpness < params.min_sharpness:
        return Objection("blur", f"blurred: sharpness under {params.min_sharpness:g}")
    if measures.strip > params.max_strip:
        return Objection("strip", f"bar or caption strip: strip over {params.max_strip:g}")
    return None


def _is_toned(measures: Measures, params: Params) -> bool:
    low, high = params.tint_hues
    return (
        measures.tint_spread < params.min_tint_spread
        and low <= measures.tint_hue <= high
        and measures.chroma_p95 < TONED_CHROMA
    )


def is_overruled(found: Objection | None, decision: Decision | None) -> bool:
    """Say whether a decision by hand keeps a photo against what a check found. What is damaged cannot be
    kept."""
    return (
        found is not None and found.check != "decode" and decision is not None and decision.decision == "keep"
    )


def after_decision(found: Objection | None, decision: Decision | None) -> Objection | None:
    """Return what speaks against a photo once it was decided by hand: that always wins."""
    if decision is not None and decision.decision == "reject":
        return Objection("review", "rejected by hand" + (f": {decision.note}" if decision.note else ""))
    return None if is_overruled(found, decision) else found
