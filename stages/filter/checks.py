"""The checks that reject photos by their measures, and how decisions by hand overrule them."""

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
"""All checks in their order, each with its measure if it uses only one."""


TONED_CHROMA = 40
"""Toned prints have less chroma than this, in Lab units; a more colorful photo of one hue shows fire, sky or
a flower."""


class Objection(NamedTuple):
    """The check (a key of :data:`CHECKS`) that a photo failed, and the reason in words."""

    check: str
    reason: str


TAKEN_OUT = Objection("taken_out", "taken out for good")


def objection(measures: Measures, params: Params) -> Objection | None:
    """Return the first check that a photo fails, including that it can be decoded; None if it passes all."""
    if measures.damage:
        return Objection("decode", measures.damage)
    short_side = min(measures.width, measures.height)
    if short_side < params.min_short_side:
        return Objection("size", f"short side under {params.min_short_side}")
    if measures.aspect > params.max_aspect:
        return Objection("aspect", f"aspect over {params.max_aspect:g}")
    # A red kite in a gray sky is too small to affect the percentile, but it affects the spread.
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
    """Return whether a decision by hand keeps a photo that failed a check. Damaged photos cannot be kept."""
    return (
        found is not None and found.check != "decode" and decision is not None and decision.decision == "keep"
    )


def after_decision(found: Objection | None, decision: Decision | None) -> Objection | None:
    """Return the objection to a photo after the decision by hand, which always wins."""
    if decision is not None and decision.decision == "reject":
        return Objection("review", "rejected by hand" + (f": {decision.note}" if decision.note else ""))
    return None if is_overruled(found, decision) else found
