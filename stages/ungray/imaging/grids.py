"""Grids of photos: rows of tiles with captions, the same bytes every time."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from ungray.imaging.color import Rgb
from ungray.system.files import whole_file

GAP = 6
TEXT_HEIGHT = 22


def photo_grid(
    rows: Sequence[Sequence[Rgb]],
    *,
    columns: Sequence[str],
    captions: Sequence[str] = (),
    tile: int = 192,
    scale: Rgb | None = None,
) -> Rgb:
    """Return one picture, uint8 RGB, of ``rows`` of photos.

    Args:
        rows: photos, uint8 RGB of any size, as many per row as ``columns``; each is fitted into a square.
        columns: a title above each column.
        captions: a line above each row; none if empty.
        tile: side of a square in pixels.
        scale: a strip that explains the colors of the last column, drawn to the right of its title.
    """
    caption_height = TEXT_HEIGHT if captions else 0
    row_height = caption_height + tile + GAP
    canvas = Image.new(
        "RGB", (len(columns) * (tile + GAP) + GAP, TEXT_HEIGHT + GAP + len(rows) * row_height), "white"
    )
    draw, font = ImageDraw.Draw(canvas), ImageFont.load_default(14)
    for column, title in enumerate(columns):
        draw.text((GAP + column * (tile + GAP), 3), title, fill="black", font=font)
    if scale is not None:
        canvas.paste(Image.fromarray(scale), (canvas.width - GAP - scale.shape[1], 4))
    for number, row in enumerate(rows):
        top = TEXT_HEIGHT + GAP + number * row_height + caption_height
        for column, photo in enumerate(row):
            fitted = Image.fromarray(_fit(photo, tile))
            left = GAP + column * (tile + GAP)
            canvas.paste(fitted, (left + (tile - fitted.width) // 2, top + (tile - fitted.height) // 2))
        if captions:
            draw.text((GAP, top - caption_height + 1), captions[number], fill="black", font=font)
    return np.asarray(canvas)


def write_jpeg(path: Path, picture: Rgb) -> None:
    """Write uint8 RGB to ``path`` as a JPEG with color at full resolution, whole or not at all.

    It takes a tenth of a PNG's bytes: the grids of an experiment are stored and sent with it.
    """
    encoded = io.BytesIO()
    Image.fromarray(picture).save(encoded, "JPEG", quality=92, subsampling=0, optimize=True)
    with whole_file(path) as partial:
        partial.write_bytes(encoded.getvalue())


def _fit(photo: Rgb, tile: int) -> Rgb:
    height, width = photo.shape[:2]
    scale = tile / max(height, width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return cv2.resize(photo, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC)  # type: ignore[return-value]
