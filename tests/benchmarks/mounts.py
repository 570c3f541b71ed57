"""How much color a model gives to the mounts and frames of scans, which should stay gray.

    python -m tests.benchmarks.mounts data/base/colorizer.onnx ~/photos/slides --most 100
    python -m tests.benchmarks.mounts MODEL DIR --sheet mounts.jpg    to look at the worst

Every photo gets a mount: white, black, gray, cream, or, for every third one, of nearly the tone of the
photo's evenest side ("hard"), as where a gray sky meets gray card. Mounts differ in width, some are crooked,
all have the noise of a scanner, most went through JPEG. Counted is the mean chroma of the mount (Lab units).
"""

from __future__ import annotations

import argparse
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from stages.evaluate.candidates import by_name, load_photo
from ungray.colorizer import Colorizer
from ungray.imaging.color import chroma, rgb_to_lab
from ungray.imaging.grids import photo_grid, write_jpeg
from ungray.imaging.upsampling import gray_photo

Gray = NDArray[np.uint8]
TONES = {"white": (238, 255), "black": (0, 25), "gray": (70, 200), "cream": (205, 238)}
"""Levels between which a mount of each kind is."""


def near_tone(gray: Gray) -> float:
    """Return the median of the outermost tenth on the side where that is most even."""
    strips = [side[: max(3, len(side) // 10)] for side in (gray, gray[::-1], gray.T, gray.T[::-1])]
    spread = [np.ptp(np.percentile(strip, (10, 90))) for strip in strips]
    return float(np.median(strips[int(np.argmin(spread))]))


def mounted(gray: Gray, kind: str, draws: np.random.Generator) -> tuple[Gray, NDArray[np.bool_]]:
    """Return ``gray``, uint8 (height, width), in a mount, and which pixels are surely of the mount."""
    tone = near_tone(gray) + draws.uniform(-6, 6) if kind == "hard" else draws.uniform(*TONES[kind])
    base = draws.uniform(0.03, 0.2) * min(gray.shape)
    sides = [max(3, round(base * (draws.uniform(0.6, 1.6) if draws.random() < 0.5 else 1))) for _ in range(4)]
    photo = cv2.copyMakeBorder(
        gray.astype(np.float32), *sides, cv2.BORDER_CONSTANT, value=float(np.clip(tone, 0, 255))
    )
    mount = cv2.copyMakeBorder(np.zeros(gray.shape, np.float32), *sides, cv2.BORDER_CONSTANT, value=1.0)
    photo = cv2.GaussianBlur(photo, (0, 0), draws.uniform(0.3, 0.8))
    size = photo.shape[::-1]
    if draws.random() < 0.2:
        turn = cv2.getRotationMatrix2D((size[0] / 2, size[1] / 2), draws.uniform(-0.8, 0.8), 1)
        photo, mount = (
            cv2.warpAffine(each, turn, size, borderMode=cv2.BORDER_REPLICATE) for each in (photo, mount)
        )
    scan: Gray = np.rint((photo + draws.normal(0, draws.uniform(0.5, 3), photo.shape)).clip(0, 255)).astype(
        "u1"
    )
    if draws.random() < 0.75:
        quality = int(draws.choice([75, 85, 92]))
        scan = cv2.imdecode(cv2.imencode(".jpg", scan, [cv2.IMWRITE_JPEG_QUALITY, quality])[1], 0)  # type: ignore[assignment]
    return scan, cv2.erode((mount > 0.999).astype(np.uint8), np.ones((3, 3))) > 0


def main() -> None:
    """Color them and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--most", type=int, default=100, help="photos, evenly chosen (100)")
    parser.add_argument("--short-side", type=int, default=400, help="pixels of a photo at most (400)")
    parser.add_argument("--seed", type=int, default=1, help="of the mounts (1)")
    parser.add_argument("--sheet", type=Path, help="a JPEG to draw the worst twelve on")
    options = parser.parse_args()
    colorizer = Colorizer.load(options.model)
    paths = list(by_name(options.folder).values())
    found = []
    for number, path in enumerate(paths[:: max(1, len(paths) // options.most)][: options.most]):
        gray = gray_photo(load_photo(path, short_side=options.short_side).truth)[..., 0]
        kind = "hard" if number % 3 == 2 else list(TONES)[number // 3 * 2 % 4 + number % 3]
        scan, mount = mounted(gray, kind, np.random.default_rng([options.seed, number]))
        if mount.any():
            colored = colorizer.colorize(scan)
            found.append((kind, float(chroma(rgb_to_lab(colored))[mount].mean()), scan, colored))
    for name in ("hard", "others"):
        some = np.array([value for kind, value, *_ in found if (kind == "hard") == (name == "hard")])
        over = [int((some >= limit).sum()) for limit in (1, 3)]
        print(
            f"{name:7} {len(some):4} mounts, mean chroma: {over[0]} have 1 or more, {over[1]} have 3 or more"
        )
    if options.sheet:
        worst = sorted(found, key=lambda one: -one[1])[:12]
        rows = [[np.dstack([scan] * 3), colored] for _, _, scan, colored in worst]
        write_jpeg(options.sheet, photo_grid(rows, columns=["scan", "colored"]))


if __name__ == "__main__":
    main()
