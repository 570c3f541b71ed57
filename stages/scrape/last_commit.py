"""Params and manifest of the last commit, used when the working cache is empty, as in a fresh clone.

Without them, a clone that adds one query would search for all the others again, and get other photos.
"""

from __future__ import annotations

import io
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from pydantic import ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from stages.scrape import blocking
from stages.scrape.params import Params
from ungray.fetch import blob_path
from ungray.system.files import sha256, whole_file
from ungray.system.terminal import say

REDACTED = "urn:sha256:"
"""The prefix, followed by the SHA-256, that replaces the address of a blocked photo, which keeps its rank."""


@dataclass(frozen=True)
class LastCommit:
    """The section scrape of params.yaml and the table data/manifest.csv of one commit."""

    params: Params
    manifest: pd.DataFrame


def read_last_commit() -> LastCommit | None:
    """Return those of the last commit; None if there is no commit or manifest, or its format is older."""
    params, manifest = (_committed(path) for path in ("params.yaml", "data/manifest.csv"))
    if params is None or manifest is None:
        return None
    try:
        section = YAML(typ="safe", pure=True).load(params)["scrape"]
        table = pd.read_csv(io.StringIO(manifest), dtype=str, keep_default_na=False)
        table["rank"] = pd.to_numeric(table["rank"])
        redacted = (table["url"] == "") & (table["reason"] == blocking.REASON)
        table["url"] = table["url"].mask(redacted, REDACTED + table["sha256"])
        return LastCommit(Params.model_validate(section), table)
    except (YAMLError, ValidationError, ValueError, KeyError, TypeError):
        return None


def restore(lost: Mapping[str, str], store: Path) -> int:
    """Copy photos of the last commit's data/raw from DVC's cache or remote to ``store``; return their number.

    Args:
        lost: the path below data/raw of each photo, by SHA-256.
        store: the folder of photos by SHA-256.
    """
    from dvc.api import DVCFileSystem  # takes half a second

    restored = 0
    try:
        files = DVCFileSystem(rev="HEAD")
        for checksum, file in lost.items():
            try:
                content = files.read_bytes(f"data/raw/{file}")
            except FileNotFoundError:
                continue
            if sha256(content) == checksum:
                with whole_file(blob_path(store, checksum)) as partial:
                    partial.write_bytes(content)
                restored += 1
    except Exception as error:  # a missing remote raises anything; the photos are then downloaded again
        say(f"scrape: DVC does not have all photos of the last commit ({error})")
    return restored


def _committed(path: str) -> str | None:
    result = subprocess.run(
        ["git", "show", f"HEAD:./{path}"],
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        check=False,
    )
    return result.stdout if result.returncode == 0 else None
