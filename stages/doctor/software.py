"""The versions that are installed, and whether they fit together."""

from __future__ import annotations

import importlib
import platform
from importlib import metadata
from typing import Any

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

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


def describe() -> dict[str, Any]:
    """Return ``versions`` by package and ``problems``, a sentence for each thing that does not fit."""
    versions = {"python": platform.python_version()} | {name: _version(name) for name in SHOWN}
    return {"versions": versions, "problems": _mismatch(versions) + _other_than_pinned()}


def _mismatch(versions: dict[str, str | None]) -> list[str]:
    """Say whether torchvision is made for another torch, by what it asks for and by trying."""
    have, mend = versions["torch"], "rm -rf .venv && make env"
    wanted = _requirements("torchvision").get("torch")
    if wanted and have and not wanted.contains(have, prereleases=True):
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
        f"{name} {_version(name) or 'missing'} (pinned {str(wanted).removeprefix('==')})"
        for name, wanted in _requirements("ungray").items()
        if not wanted.contains(_version(name) or "0", prereleases=True)
    ]
    return [f"not as pinned: {', '.join(differing)}; `make env` brings them back"] if differing else []


def _requirements(package: str) -> dict[str, SpecifierSet]:
    """Return the versions of other packages that ``package`` asks for, those of extras left out."""
    try:
        wanted = [Requirement(text) for text in metadata.requires(package) or []]
    except metadata.PackageNotFoundError:
        return {}
    return {entry.name: entry.specifier for entry in wanted if not entry.marker or entry.marker.evaluate()}


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None
