"""Tables on disk: CSV files, written atomically, with the same bytes for the same content."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from ungray.errors import UngrayError
from ungray.system.files import whole_file

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

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
"""The columns that contain numbers. Others are text and stay as written, even 007, 2019, NA or 12e45678."""


MAX_CELL = 8192
"""The length in characters at which a cell is truncated. No web server accepts a longer address."""

NOT_ALLOWED = re.compile("[\\x00-\\x1f\\x7f-\\x9f\\ud800-\\udfff]")
"""Control characters, including line ends, and lone surrogates, which Python uses for file names that are not
valid text. The first would break a table's lines, the others cannot be encoded."""

ESCAPE = re.compile(r"\\x[0-9a-f]{2}|\\u[0-9a-f]{4}")


def cell(text: str) -> str:
    """Return ``text`` as it is written to a table: on one line, with escapes, truncated if it is too long."""
    text = NOT_ALLOWED.sub(_escape, text)
    return text if len(text) <= MAX_CELL else f"{text[:MAX_CELL]}…"


def clean_row(row: DataclassInstance) -> None:
    """Turn every text of a frozen dataclass into a :func:`cell`; to be called in its ``__post_init__``."""
    for field in fields(row):
        if isinstance(value := getattr(row, field.name), str):
            object.__setattr__(row, field.name, cell(value))


def may_be_altered(text: str) -> bool:
    """Return whether :func:`cell` may have altered ``text``: such an address cannot be requested."""
    return bool(ESCAPE.search(text)) or len(text) > MAX_CELL


def _escape(found: re.Match[str]) -> str:
    number = ord(found[0])
    if 0xDC80 <= number <= 0xDCFF:  # a byte of a file name, see PEP 383
        number -= 0xDC00
    return f"\\x{number:02x}" if number < 0x100 else f"\\u{number:04x}"


def read_table(path: Path, *, made_by: str) -> pd.DataFrame:
    """Return the table at ``path``, empty cells as empty strings.

    Raises:
        UngrayError: it is missing or damaged; the message names the stage ``made_by`` that writes it.
    """
    try:
        table = pd.read_csv(path, dtype=str, keep_default_na=False)
        for column in table.columns.intersection(NUMBERS):
            table[column] = pd.to_numeric(table[column])
    except FileNotFoundError:
        raise UngrayError(f"{path} not found; `dvc repro {made_by}` makes it") from None
    except ValueError as error:
        # All that pandas raises for a truncated, empty or binary file derives from ValueError.
        reason = str(error).splitlines()[0]
        raise UngrayError(
            f"{path} is damaged ({reason}); `dvc repro --force {made_by}` makes it again"
        ) from None
    return table


def write_table(table: pd.DataFrame, path: Path) -> None:
    """Write ``table`` to ``path`` without its row numbers; text is written as :func:`cell` returns it."""
    table = table.copy(deep=False)
    for name, column in table.items():
        if not pd.api.types.is_numeric_dtype(column):
            table[name] = column.map(lambda value: cell(value) if isinstance(value, str) else value)
    with whole_file(path) as partial:
        table.to_csv(partial, index=False, lineterminator="\n")
