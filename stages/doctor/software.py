"""The versions that are installed, and whether they fit together."""

from __future__ import annotations

import importlib
import platform
import re
from importlib import metadata
from typing import Any

SHOWN = (
    "torch",
    "torchvision",
    "lightning-fabric",
    "numpy",
    "opencv-python",
    "dvc",
    "dvclive",
    "onnxruntime",
)

EXACT = re.compile(r"([A-Za-z0-9._-]+)==([^;,\s]+)")


def describe() -> dict[str, Any]:
    """Return ``versions`` by package and ``problems``, a sentence for each thing that does not fit."""
    versions = {"python": platform.python_version()} | {name: _version(name) for name in SHOWN}
    return {"versions": versions, "problems": _mismatch(versions) + _other_than_pinned()}


def _mismatch(versions: dict[str, str | None]) -> list[str]:
    """Say whether torchvision is made for another torch, by what it asks for and by trying."""
    wanted = _pins("torchvision").get("torch")
    have = (versions["torch"] or "").partition("+")[0]
    mend = "rm -rf .venv && make env"
    if wanted and have and wanted != have:
        return [f"torchvision {versions['torchvision']} wants torch {wanted}, torch {have} is here: `{mend}`"]
    try:
        importlib.import_module("torchvision")
    except (ImportError, RuntimeError) as error:
        reason = (str(error) or type(error).__name__).splitlines()[0]
        return [f"torchvision cannot be imported ({reason}), most likely torch is of another build: `{mend}`"]
    return []


def _other_than_pinned() -> list[str]:
    """Name the packages that are of another version than the project pins."""
    differing = [
        f"{name} {_version(name) or 'missing'} (pinned {version})"
        for name, version in _pins("ungray").items()
        if (_version(name) or "").partition("+")[0] != version
    ]
    return [f"not as pinned: {', '.join(differing)}; `make env` brings them back"] if differing else []


def _pins(package: str) -> dict[str, str]:
    """Return the exact versions that ``package`` asks for, those of extras left out."""
    try:
        wanted = metadata.requires(package) or []
    except metadata.PackageNotFoundError:
        return {}
    found = (EXACT.match(text) for text in wanted if "extra ==" not in text)
    return {match[1]: match[2] for match in found if match}


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None
