"""A model's provenance in words: whether its training changed the weights."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ungray.imaging.metrics import METRICS


def kept_nothing(provenance: Mapping[str, Any]) -> str:
    """Return that and why training left the weights unchanged, as a sentence without its period.

    Empty if training changed them, or if the provenance does not say.
    """
    unchanged = provenance.get("unchanged")
    if not unchanged:
        return ""
    if unchanged["epoch"]:
        why = f"{provenance['steps']} steps at train.lr {provenance['train']['lr']:g} moved no weight"
    else:
        watched = METRICS.get(unchanged["watch"])
        why = (
            f"{watched.title if watched else 'the loss'} of the val photos was best before the first epoch, "
            f"{unchanged['before']:.4g}; the best of {unchanged['epochs']} epochs had {unchanged['best']:.4g}"
        )
    return f"this is {what_it_is(provenance)}: training kept nothing, since {why}"


def what_it_is(provenance: Mapping[str, Any]) -> str:
    """Return in a few words what a model is whose training left the weights unchanged."""
    new = provenance["start"]["new"]
    if new == "all":
        return "an untrained network"
    return f"the base model with untrained layers ({', '.join(new)})" if new else "the base model, unchanged"
