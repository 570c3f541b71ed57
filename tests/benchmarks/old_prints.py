"""What a model loses on worn prints: its gain over the gray photo on worn and on clean versions of photos.

Worn prints are judged twice: restored for the network (stages/ungray/imaging/restoration.py), and unrestored.

    python -m tests.benchmarks.old_prints data/base/colorizer.onnx ~/photos/slides --most 60
    python -m tests.benchmarks.old_prints MODEL DIR --sheet worn.jpg       to look at: worn, colored, truth

The wear is not that of training (stages/train/augmentation.py): grain as silver clumps that follow density,
density lost along a curve and toward the edges, scratches as bent hairs, dust, and creases. Only the gray
photo is worn; the color found for it is judged at the truth's lightness, so what wear does to lightness
itself counts for nobody. Bar: of the gain in CIEDE2000 at most a fifth is lost.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from unittest.mock import patch

import cv2
import numpy as np
from numpy.typing import NDArray

from stages.evaluate.candidates import by_name, load_photo
from ungray.colorizer import Colorizer
from ungray.imaging import metrics, prediction
from ungray.imaging.color import Float, Rgb, lab_to_rgb, rgb_to_lab
from ungray.imaging.grids import photo_grid, write_jpeg
from ungray.imaging.upsampling import gray_photo


def worn(gray: NDArray[np.uint8], draws: np.random.Generator) -> NDArray[np.uint8]:
    """Return a gray photo, uint8 (height, width), as a print that has lain about for eighty years.

    It is worn at a short side of 800 pixels and scaled back, as a print is scanned and scaled.
    """
    size, scale = gray.shape[::-1], 800 / min(gray.shape)
    gray = np.asarray(cv2.resize(gray, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC), np.uint8)
    height, width = gray.shape
    density = 1 - gray.astype(np.float32) / 255
    y, x = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j].astype(np.float32)
    # Silver fades where air comes to it, first at the edges, and thin density before thick.
    faded = draws.uniform(0.55, 0.85) - draws.uniform(0, 0.2) * np.clip(np.hypot(x, y) - 0.6, 0, 1)
    density = 0.08 + faded * density ** draws.uniform(1.0, 1.4)
    clumps = cv2.GaussianBlur(
        draws.normal(0, 1, gray.shape).astype(np.float32), (0, 0), draws.uniform(0.8, 2.0)
    )
    density += draws.uniform(0.03, 0.1) * clumps / clumps.std() * np.sqrt(density.clip(0, 1))
    photo = 255 * (1 - density.clip(0, 1))
    for _ in range(draws.integers(2, 7)):
        start, angle, bend = (
            draws.random(2) * (width, height),
            draws.uniform(0, 2 * np.pi),
            draws.normal(0, 0.4),
        )
        along = np.linspace(0, draws.uniform(0.1, 0.6) * max(gray.shape), 40)
        turned = angle + bend * along / max(gray.shape) * 3
        hair = start + np.cumsum(np.column_stack([np.cos(turned), np.sin(turned)]), axis=0) * along[1]
        tone = draws.choice([draws.uniform(225, 255), draws.uniform(0, 40)])
        cv2.polylines(photo, [np.rint(hair * 16).astype(np.int32)], False, float(tone), 2, cv2.LINE_AA, 4)
    for _ in range(draws.integers(0, 25)):
        place = tuple(int(value) for value in draws.random(2) * (width, height))
        cv2.circle(photo, place, int(draws.integers(1, 4)), float(draws.uniform(200, 255)), -1, cv2.LINE_AA)
    if draws.random() < 0.3:  # a crease across
        ends = [(0, int(draws.uniform(0, height))), (width - 1, int(draws.uniform(0, height)))]
        cv2.line(photo, *ends, 250.0, 2, cv2.LINE_AA)
    scaled = cv2.resize(photo, size, interpolation=cv2.INTER_AREA)
    return np.rint(np.clip(scaled, 0, 255)).astype(np.uint8)


def colors_at(lab: Float, colored: Rgb) -> Rgb:
    """Return the photo that has the lightness of ``lab`` and the a and b of ``colored``."""
    return lab_to_rgb(np.dstack([lab[..., 0], rgb_to_lab(colored)[..., 1:]]))


def main() -> None:
    """Judge and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--most", type=int, default=60, help="photos, evenly chosen (60)")
    parser.add_argument("--short-side", type=int, default=256, help="pixels at which they are judged (256)")
    parser.add_argument("--sheet", type=Path, help="a JPEG to draw the first twelve on")
    options = parser.parse_args()
    colorizer = Colorizer.load(options.model)
    paths = list(by_name(options.folder).values())
    rows, sheet = [], []
    for number, path in enumerate(paths[:: max(1, len(paths) // options.most)][: options.most]):
        truth = load_photo(path, short_side=options.short_side).truth
        lab = rgb_to_lab(truth)
        gray = gray_photo(truth)
        print_of_it = worn(gray[..., 0], np.random.default_rng([1, number]))
        colored = colorizer.colorize(print_of_it)
        with patch.object(prediction, "restoring", lambda predict_ab: predict_ab):
            unrestored = colorizer.colorize(print_of_it)
        made = (gray, *(colors_at(lab, one) for one in (colorizer.colorize(gray), colored, unrestored)))
        rows.append([(metrics.judge(one, truth)["ciede2000"], metrics.psnr(one, truth)) for one in made])
        if len(sheet) < 12:
            sheet.append([np.dstack([print_of_it] * 3), colored, truth])
    means = dict(zip(("gray", "clean", "worn", "unrestored"), np.mean(rows, axis=0), strict=True))
    print(f"{len(rows)} photos   CIEDE2000  PSNR dB")
    for name, (difference, db) in means.items():
        print(f"{name:<16} {difference:.2f}     {db:.2f}")
    whole = means["gray"] - means["clean"]
    for name in ("worn", "unrestored"):
        lost_e, lost_db = 1 - (means["gray"] - means[name]) / whole
        print(f"{name}: of the gain over gray it loses {lost_e:.0%} in CIEDE2000, {lost_db:.0%} in dB")
    if options.sheet:
        write_jpeg(options.sheet, photo_grid(sheet, columns=["worn", "colored", "truth"]))


if __name__ == "__main__":
    main()
