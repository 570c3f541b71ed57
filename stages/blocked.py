"""``data/blocked.csv``: the photos taken out for good, by checksum and by look. They never come in again."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from stages.errors import UngrayError

BLOCKED = Path("data/blocked.csv")
COLUMNS = {"sha256": "[0-9a-f]{64}", "phash": "([0-9a-f]{16})?"}
"""Each column and what its cells look like. ``phash`` as :func:`stages.likeness.phash` gives it; empty for a
file that could not be decoded."""


def read(path: Path = BLOCKED) -> pd.DataFrame:
    """Return the table at ``path``, its cells as text.

    Raises:
        UngrayError: it is missing or damaged. Then nothing may be gathered: a blocked photo would come back.
    """
    way_out = f"which names the photos taken out for good; `git checkout {path}` brings the last one back"
    try:
        table = pd.read_csv(path, dtype=str, keep_default_na=False)
    except FileNotFoundError:
        raise UngrayError(f"{path} not found, {way_out}") from None
    except ValueError as error:
        raise UngrayError(f"{path} is damaged ({str(error).splitlines()[0]}), {way_out}") from None
    if list(table.columns) != list(COLUMNS):
        raise UngrayError(f"{path} needs the columns {','.join(COLUMNS)}, {way_out}")
    for column, form in COLUMNS.items():
        wrong = table[~table[column].str.fullmatch(form)]
        if len(wrong):
            line, cell = wrong.index[0] + 2, wrong[column].iloc[0]
            raise UngrayError(f"{path}, line {line}: {column} is {cell!r}, not hexadecimal digits, {way_out}")
    return table
