"""The working cache ``.cache/``, which makes work fast and resumable; losing it costs nothing but time.

It belongs to the main checkout, even if DVC runs an experiment in a temporary folder below ``.dvc/tmp``. Git
and DVC ignore it. Each folder is keyed by a fingerprint of the code and settings that made its content.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ungray.system.files import main_checkout, sha256


def folder(name: str, fingerprint: str) -> Path:
    """Return ``.cache/<name>/<fingerprint>`` of the main checkout, created if needed."""
    path = main_checkout(Path.cwd()) / ".cache" / name / fingerprint
    path.mkdir(parents=True, exist_ok=True)
    return path


def fingerprint(*parts: Any) -> str:
    """Return 16 hexadecimal digits that change when any of ``parts`` (plain JSON values) changes."""
    return sha256(json.dumps(parts, sort_keys=True).encode())[:16]


def code_fingerprint(*packages: Path) -> str:
    """Return a fingerprint of the Python sources in ``packages`` (folders or files)."""
    sources = [p for package in packages for p in (package.rglob("*.py") if package.is_dir() else [package])]
    return fingerprint(*[(p.name, sha256(p.read_bytes())) for p in sorted(sources)])
