"""Draw reports/colors.webp: six free photographs gray, colored, colored with hints, and the truth.

    python -m tests.benchmarks.colors data/base/colorizer.onnx reports/colors.webp

The photographs come with scikit-image and scikit-learn. Each hint has the true color of its place.
"""

from __future__ import annotations

import sys
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont
from skimage import data
from sklearn.datasets import load_sample_image

from ungray.colorizer import Colorizer
from ungray.hints import Hint
from ungray.imaging.color import Rgb
from ungray.imaging.upsampling import gray_photo

SIDE = 384
"""Side of a photo when it is colored, in pixels."""

TILE, GAP = 150, 6
"""Side of a photo in the picture and the space between two, in pixels."""

HINTS = {
    "china": ((0.2, 0.2), (0.77, 0.2), (0.25, 0.57), (0.5, 0.9)),
    "chelsea": ((0.2, 0.2), (0.31, 0.25), (0.67, 0.82)),
    "flower": ((0.2, 0.2), (0.47, 0.47), (0.6, 0.95)),
    "astronaut": ((0.1, 0.33), (0.2, 0.9), (0.43, 0.73)),
    "coffee": ((0.13, 0.13), (0.2, 0.68), (0.5, 0.27)),
    "rocket": ((0.5, 0.2), (0.5, 0.67)),
}
"""The places of the hints in each photo, as fractions of its side from the left and from the top."""


def photo(name: str) -> Rgb:
    """Return the middle square of a photograph, uint8 sRGB (SIDE, SIDE, 3)."""
    rgb = load_sample_image(f"{name}.jpg") if name in ("china", "flower") else getattr(data, name)()
    height, width = rgb.shape[:2]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    square = rgb[top : top + side, left : left + side, :3]
    return np.asarray(cv2.resize(square, (SIDE, SIDE), interpolation=cv2.INTER_AREA), np.uint8)


def hint(truth: Rgb, x: float, y: float) -> Hint:
    """Return a hint with the mean color of five pixels a side."""
    row, column = round(y * SIDE), round(x * SIDE)
    color = truth[row - 2 : row + 3, column - 2 : column + 3].mean(axis=(0, 1)).round().astype(int)
    return Hint(column, row, "#{:02x}{:02x}{:02x}".format(*color))


def main(model: Path, output: Path) -> None:
    """Draw the picture."""
    colorizer = Colorizer.load(model)
    top = 28
    size = (len(HINTS) * (TILE + GAP) + GAP, top + 4 * (TILE + GAP))
    picture = Image.new("RGB", size, "white")
    draw = ImageDraw.Draw(picture)
    title = "gray; colored; colored with the hints marked; the truth"
    draw.text((GAP, 5), title, fill="black", font=ImageFont.load_default(16))
    for column, (name, places) in enumerate(HINTS.items()):
        truth = photo(name)
        gray = gray_photo(truth)
        hints = [hint(truth, x, y) for x, y in places]
        made = (gray, colorizer.colorize(gray), colorizer.colorize(gray, hints=hints), truth)
        for row, rgb in enumerate(made):
            left, upper = GAP + column * (TILE + GAP), top + row * (TILE + GAP)
            tile = cv2.resize(rgb, (TILE, TILE), interpolation=cv2.INTER_AREA)
            picture.paste(Image.fromarray(np.asarray(tile, np.uint8)), (left, upper))
            for x, y in places if row == 2 else ():
                center = left + x * TILE, upper + y * TILE
                draw.circle(center, 5, outline="white", width=2)
                draw.circle(center, 6, outline="black", width=1)
    picture.save(output, quality=90, method=6)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
