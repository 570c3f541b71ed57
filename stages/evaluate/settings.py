"""Parameters as text: a section of params.yaml, and what a model's file says of its training."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def trained_with(provenance: Mapping[str, Any]) -> dict[str, str]:
    """Return the section ``train`` with which a model was trained, its steps, precision and torch, by
    name."""
    words = {"steps": "steps", "precision": "trained in", "torch": "trained with torch"}
    return flat("train", provenance.get("train", {})) | {
        title: str(provenance[name]) for name, title in words.items() if name in provenance
    }


def flat(name: str, value: Any) -> dict[str, str]:
    """Return a section of parameters as params.yaml names and writes them: ``train.lr``, ``true``."""
    if isinstance(value, Mapping) and value:
        parts = [flat(f"{name}.{key}", part) for key, part in value.items()]
        return {key: text for part in parts for key, text in part.items()}
    if isinstance(value, (list, tuple)):
        return {name: ", ".join(str(part) for part in value) or "none"}
    words = {True: "true", False: "false", None: "none"}
    return {name: words[value] if value is None or isinstance(value, bool) else str(value)}
