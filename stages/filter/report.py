"""``reports/filter/``: which photos the filter kept and rejected, as counts and contact sheets."""

from __future__ import annotations

import io
from collections.abc import Hashable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image, ImageDraw, ImageFont, ImageOps

from stages.filter.checks import CHECKS
from ungray.imaging import photos
from ungray.system.files import whole_folder

TILE = 128
"""The side of a thumbnail's square in pixels."""
COLUMNS = 10
GAP = 6
LINE = 14


def counts(verdicts: pd.DataFrame) -> pd.DataFrame:
    """Return one row for kept and one per check: check, count (may be 0), and share of all photos."""
    found = verdicts["check"].replace("", "kept").value_counts()
    table = pd.DataFrame({"check": ["kept", *CHECKS]})
    table["count"] = [int(found.get(check, 0)) for check in table["check"]]
    table["share"] = (table["count"] / len(verdicts)).round(4)
    return table


def queries(verdicts: pd.DataFrame) -> pd.DataFrame:
    """Return one row per query: query, photos, kept, and the number of photos that each check rejected."""
    found = pd.crosstab(verdicts["query"], verdicts["check"].replace("", "kept"))
    found = found.reindex(columns=["kept", *CHECKS], fill_value=0)
    found.insert(0, "photos", found.sum(axis=1))
    return found.reset_index().rename_axis(columns=None)


def write_sheets(verdicts: pd.DataFrame, raw: Path, folder: Path, *, max_photos: int) -> None:
    """Write kept.jpg to ``folder``, and <check>.jpg for each check that rejected photos, except taken_out.

    A sheet shows at most ``max_photos`` photos of data/raw. They are spaced evenly over the check's measure,
    from the clearest case to the closest call; kept photos are spaced evenly over all files. A duplicate is
    followed by the photo that is kept instead. The caption is the measure, and the start of the file's name.
    """
    sheets = {}
    shown = verdicts[verdicts["check"] != "taken_out"]  # their owners don't want them shown
    for check, part in shown.groupby(shown["check"].replace("", "kept")):
        measure = CHECKS.get(str(check), "")
        sheets[str(check)] = _shown(
            part.sort_values([measure, "file"] if measure else "file"), verdicts, max_photos
        )
    every = pd.concat(sheets.values())["file"].unique().tolist()
    readable = set(verdicts.loc[verdicts["phash"] != "", "file"])
    # Damaged photos are not opened again: their tile is empty.
    tiles = {file: _thumbnail(raw / file) for file in every if file in readable}
    with whole_folder(folder) as making:
        for check, part in sheets.items():
            captions = [_caption(row, CHECKS.get(check, "")) for row in part.to_dict("records")]
            sheet = contact_sheet([tiles.get(file) for file in part["file"]], captions)
            photos.write_rgb(making / f"{check}.jpg", sheet, quality=85)


def contact_sheet(tiles: Sequence[photos.Rgb | None], captions: Sequence[Sequence[str]]) -> photos.Rgb:
    """Return a picture, uint8 RGB, with ``tiles`` in rows of ten, and the lines of their ``captions`` below.

    Tiles are uint8 RGB of at most 128x128 pixels; None is drawn as an empty square.
    """
    lines = max(map(len, captions))
    width, height = TILE + GAP, TILE + GAP + LINE * lines
    rows = -(-len(tiles) // COLUMNS)
    canvas = Image.new("RGB", (min(len(tiles), COLUMNS) * width + GAP, rows * height + GAP), "white")
    draw, font = ImageDraw.Draw(canvas), ImageFont.load_default(11)
    for number, (tile, caption) in enumerate(zip(tiles, captions, strict=True)):
        left, top = number % COLUMNS * width + GAP, number // COLUMNS * height + GAP
        if tile is None:
            draw.rectangle((left, top, left + TILE - 1, top + TILE - 1), outline="gray")
        else:
            offset = (TILE - tile.shape[1]) // 2, (TILE - tile.shape[0]) // 2
            canvas.paste(Image.fromarray(tile), (left + offset[0], top + offset[1]))
        for line, text in enumerate(caption):
            while text and font.getlength(text) > TILE:
                text = text[:-1]
            draw.text((left, top + TILE + line * LINE), text, fill="black", font=font)
    return np.asarray(canvas)


def _shown(part: pd.DataFrame, verdicts: pd.DataFrame, max_photos: int) -> pd.DataFrame:
    """Return at most ``max_photos`` evenly spaced rows; each duplicate is followed by the better photo."""
    pairs = (part["duplicate_of"] != "").any()
    count = min(max(1, max_photos // 2) if pairs else max_photos, len(part))
    chosen = part.iloc[np.unique(np.linspace(0, len(part) - 1, count).round().astype(int))]
    if not pairs:
        return chosen
    better = verdicts.set_index("file", drop=False).loc[chosen["duplicate_of"]]
    order = np.tile(np.arange(len(chosen)), 2)
    return pd.concat([chosen, better]).iloc[np.argsort(order, kind="stable")]


def _caption(row: Mapping[Hashable, object], measure: str) -> list[str]:
    text = f"{measure} {row[measure]}" if measure else str(row["reason"]) or f"{row['width']}x{row['height']}"
    folder, name = str(row["file"]).rsplit("/", 1)
    return [text, f"{name[:8]} {folder}"]


def _thumbnail(path: Path) -> photos.Rgb:
    """Return a copy of a readable photo, uint8 RGB, of at most 128x128 pixels."""
    content = path.read_bytes()
    with Image.open(io.BytesIO(content)) as image:
        if image.format == "JPEG" and image.mode == "RGB":
            image.thumbnail((TILE, TILE))  # decodes at a fraction of the size: much faster
            return np.asarray(ImageOps.exif_transpose(image))
    small = Image.fromarray(photos.read_rgb(content))
    small.thumbnail((TILE, TILE))
    return np.asarray(small)
