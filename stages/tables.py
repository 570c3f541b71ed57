"""Tables on disk: CSV files that appear whole and are the same bytes for the same content."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from stages.errors import UngrayError
from stages.files import whole_file

NUMBERS = [
    "rank",
    "bytes",
    "width",
    "height",
    "aspect",
    "chroma_p95",
    "tint_spread",
    "tint_hue",
    "lightness_p99",
    "white",
    "sharpness",
    "strip",
    "count",
    "share",
    "copy",
    "size",
    "rotation",
    "mean",
    "mean_low",
    "mean_high",
    "minus_gray",
    "minus_gray_low",
    "minus_gray_high",
    "minus_base",
    "minus_base_low",
    "minus_base_high",
]
"""The columns that hold numbers. All others are text and stay as written: 007, 2019, NA or 12e45678 too."""


def read(path: Path, *, made_by: str) -> pd.DataFrame:
    """Return the table at ``path``, empty cells as empty strings.

    Raises:
        UngrayError: there is no such table; the sentence names the stage ``made_by`` that writes it.
    """
    try:
        table = pd.read_csv(path, dtype=str, keep_default_na=False)
        for column in table.columns.intersection(NUMBERS):
            table[column] = pd.to_numeric(table[column])
    except FileNotFoundError:
        raise UngrayError(f"{path} not found; `dvc repro {made_by}` makes it") from None
    except ValueError as error:
        # What pandas raises for a table cut short, empty or of other bytes derives from ValueError.
        reason = str(error).splitlines()[0]
        raise UngrayError(
            f"{path} is damaged ({reason}); `dvc repro --force {made_by}` makes it anew"
        ) from None
    return table


def write(table: pd.DataFrame, path: Path) -> None:
    """Write ``table`` to ``path`` without its row numbers."""
    with whole_file(path) as partial:
        table.to_csv(partial, index=False, lineterminator="\n")
