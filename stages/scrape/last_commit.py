"""The last commit, as far as it helps when the working cache is lost: a fresh clone, or `make clean-cache`.

Without it a clone that adds one query would search for all the others again, and get other photos.
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

from stages.scrape import blocklist
from stages.scrape.params import Params
from ungray.fetch import blob_path
from ungray.system.files import sha256, whole_file
from ungray.system.terminal import say

REDACTED = "urn:sha256:"
"""What stands for the address of a photo that was taken out for good: its row has none, but a rank."""


@dataclass(frozen=True)
class LastCommit:
    """The section scrape of params.yaml and the table data/manifest.csv, as they were committed together."""

    params: Params
    manifest: pd.DataFrame


def read() -> LastCommit | None:
    """Return what the last commit holds; nothing without a commit or manifest, or in an older format."""
    params, manifest = (_show(path) for path in ("params.yaml", "data/manifest.csv"))
    if params is None or manifest is None:
        return None
    try:
        section = YAML(typ="safe", pure=True).load(params)["scrape"]
        table = pd.read_csv(io.StringIO(manifest), dtype=str, keep_default_na=False)
        table["rank"] = pd.to_numeric(table["rank"])
        struck_out = (table["url"] == "") & (table["reason"] == blocklist.REASON)
        table["url"] = table["url"].mask(struck_out, REDACTED + table["sha256"])
        return LastCommit(Params.model_validate(section), table)
    except (YAMLError, ValidationError, ValueError, KeyError, TypeError):
        return None


def bring_back(wanted: Mapping[str, str], store: Path) -> int:
    """Copy photos of the last commit's data/raw, from wherever DVC has them, into ``store``; return how many.

    Args:
        wanted: sha256 -> path below data/raw.
        store: the folder of photos by sha256.
    """
    from dvc.api import DVCFileSystem  # takes half a second

    brought = 0
    try:
        files = DVCFileSystem(rev="HEAD")
        for checksum, file in wanted.items():
            try:
                content = files.read_bytes(f"data/raw/{file}")
            except FileNotFoundError:
                continue
            if sha256(content) == checksum:
                with whole_file(blob_path(store, checksum)) as partial:
                    partial.write_bytes(content)
                brought += 1
    except Exception as error:  # whatever a remote raises that is not there: the photos are downloaded anew
        say(f"scrape: DVC does not have all photos of the last commit ({error})")
    return brought


def _show(path: str) -> str | None:
    shown = subprocess.run(
        ["git", "show", f"HEAD:./{path}"],
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        check=False,
    )
    return shown.stdout if shown.returncode == 0 else None
