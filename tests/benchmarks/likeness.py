"""How many copies of photos the split joins, how many photos it joins falsely, and what that costs.

    python -m tests.benchmarks.likeness PHOTOS              200 copies a kind among a folder's photos
    python -m tests.benchmarks.likeness PHOTOS --plants 50 --sheet linked.png
    python -m tests.benchmarks.likeness PHOTOS --plants 80 --most 580      as stages/scrape/README.md says it

The copies are planted one kind at a time; a kind's figure is the share of copies that are linked to the photo
that they were made from. What is linked among the photos themselves is counted, and with `--sheet` drawn for
looking at: what a collection has twice is no false link. Beside it stand the copies that are known by what
`take_out` keeps of a photo, and the other photos that would be taken for one of these. Seconds are CPU time
of this one process; those of filter are measuring each photo, which includes decoding, and finding pairs by
hash alone.
"""

from __future__ import annotations

import argparse
import random
import time
from collections.abc import Callable
from pathlib import Path
from unittest.mock import patch

import cv2
import numpy as np
from numpy.typing import NDArray

from stages.filter.measures import measure
from stages.params import load_all
from stages.prepare.geometry import rotate
from ungray.imaging import decoding, duplicates, photos
from ungray.imaging.duplicates import Signature

Rgb = NDArray[np.uint8]


def cut(photo: Rgb, share: float, *, corner: bool, draw: random.Random) -> Rgb:
    """Return ``photo`` without ``share`` of its width and height: the middle, or one of its corners."""
    height, width = photo.shape[:2]
    down, across = round(height * share), round(width * share)
    top, left = (draw.choice((0, down)), draw.choice((0, across))) if corner else (down // 2, across // 2)
    return photo[top : top + height - down, left : left + width - across]


def framed(photo: Rgb, share: float) -> Rgb:
    """Return ``photo`` in a white frame, ``share`` of its width on each side."""
    wide = round(photo.shape[1] * share)
    return cv2.copyMakeBorder(photo, wide, wide, wide, wide, cv2.BORDER_CONSTANT, value=(255, 255, 255))  # type: ignore[return-value]


def brighter(photo: Rgb, factors: tuple[float, float, float]) -> Rgb:
    """Return ``photo`` with its channels multiplied by ``factors``."""
    return (photo * np.array(factors)).clip(0, 255).astype(np.uint8)


def scaled(photo: Rgb, factor: float) -> Rgb:
    """Return ``photo`` scaled by ``factor``."""
    way = cv2.INTER_AREA if factor < 1 else cv2.INTER_CUBIC
    return cv2.resize(photo, None, fx=factor, fy=factor, interpolation=way)  # type: ignore[return-value]


KINDS: dict[str, Callable[[Rgb, random.Random], Rgb]] = {
    "re-encoded": lambda photo, draw: photo,
    "scaled to 60 %": lambda photo, draw: scaled(photo, 0.6),
    "scaled to 200 %": lambda photo, draw: scaled(photo, 2),
    "brighter": lambda photo, draw: brighter(photo, (1.25, 1.25, 1.25)),
    "warmer": lambda photo, draw: brighter(photo, (1.1, 1, 0.8)),
    "10 % crop": lambda photo, draw: cut(photo, 0.1, corner=False, draw=draw),
    "10 % crop at a corner": lambda photo, draw: cut(photo, 0.1, corner=True, draw=draw),
    "20 % crop": lambda photo, draw: cut(photo, 0.2, corner=draw.random() < 0.5, draw=draw),
    "rotated by 5 degrees": lambda photo, draw: rotate(photo, degrees=draw.choice((5, -5)), border="inner"),
    "mirrored": lambda photo, draw: photo[:, ::-1],
    "turned by 90 degrees": lambda photo, draw: np.rot90(photo),
    "white frame": lambda photo, draw: framed(photo, draw.uniform(0.03, 0.12)),
    "mirrored, 10 % crop": lambda photo, draw: cut(photo[:, ::-1], 0.1, corner=False, draw=draw),
}
"""Kinds of copies; each is saved as JPEG of quality 85 and read again."""


def planted(photo: Rgb, kind: str, draw: random.Random) -> Signature:
    """Return the signature of a copy of ``photo``."""
    made = np.ascontiguousarray(KINDS[kind](photo, draw))
    return duplicates.signature(photos.read_rgb(photos.encode_rgb(made, suffix=".jpg", quality=85)))


def sheet(pairs: list[tuple[int, int]], paths: list[Path]) -> Rgb:
    """Return a picture of the photos of each pair side by side, six pairs a row."""
    side = 110
    tiles = [
        np.hstack([cv2.resize(photos.read_rgb(paths[number]), (side, side)) for number in pair])
        for pair in pairs
    ]
    tiles += [np.full((side, 2 * side, 3), 255, np.uint8)] * (-len(tiles) % 6)
    bordered = [cv2.copyMakeBorder(tile, 3, 3, 3, 3, cv2.BORDER_CONSTANT, value=(255,) * 3) for tile in tiles]
    return np.vstack([np.hstack(bordered[row : row + 6]) for row in range(0, len(bordered), 6)])


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("photos", type=Path)
    parser.add_argument("--plants", type=int, default=200, help="copies of each kind")
    parser.add_argument("--most", type=int, help="take so many of the photos, evenly chosen")
    parser.add_argument("--sheet", type=Path, help="a picture of what is linked, but not by its hash")
    options = parser.parse_args()
    cv2.setNumThreads(1)
    distance = load_all()["filter"].model_dump()["near_duplicate_distance"]
    paths = sorted(path for path in options.photos.rglob("*") if path.suffix in {".jpg", ".png", ".webp"})
    if options.most:
        paths = [paths[at] for at in np.linspace(0, len(paths) - 1, options.most).astype(int)]

    start = time.process_time()
    # Right here: the seconds of another process would not be counted.
    with patch.object(decoding, "limited", lambda work, content: work(content)):
        measured = [measure(path) for path in paths]
    measuring = time.process_time() - start
    usable = [number for number, one in enumerate(measured) if one.phash]
    paths, signatures = (
        [paths[number] for number in usable],
        [measured[number].signature for number in usable],
    )
    pixels = [photos.read_rgb(path) for path in random.Random(1).sample(paths, 200)]
    start = time.process_time()
    for photo in pixels:
        duplicates.corners(duplicates.small_copy(photo))
    corners = (time.process_time() - start) / len(pixels) * len(signatures)
    start = time.process_time()
    near = set(duplicates.near([one.phash for one in signatures], distance=distance))
    by_hash = time.process_time() - start
    start = time.process_time()
    linked = set(duplicates.copies(signatures, distance=distance))
    linking = time.process_time() - start
    before = measuring - corners + by_hash
    print(
        f"{len(paths)} photos; CPU seconds: by hash alone {before:.0f} (measuring {measuring - corners:.0f}, "
        f"pairs {by_hash:.1f}); now {before + corners + linking:.0f} (corners {corners:.0f}, pairs "
        f"{linking:.1f} more): {(before + corners + linking) / before:.2f} times"
    )
    parts = np.bincount(duplicates.components(len(signatures), linked))
    print(
        f"linked among them: {len(linked)} pairs, {len(linked - near)} of them not by hash; "
        f"largest group {parts.max()}"
    )
    if options.sheet:
        photos.write_rgb(options.sheet, sheet(sorted(linked - near), paths), quality=85)
    chosen = random.Random(2).sample(range(len(paths)), min(options.plants, len(paths)))
    originals = [photos.read_rgb(paths[number]) for number in chosen]
    kept = [
        duplicates.Sketched([signatures[at].phash], [duplicates.sketch(signatures[at].corners)])
        for at in chosen
    ]
    apart = [
        (at, other)
        for at in chosen
        for other in set(range(len(signatures))) - set(chosen)
        if (min(at, other), max(at, other)) not in linked
    ]
    by_number = dict(zip(chosen, kept, strict=True))
    false = sum(by_number[at].like(signatures[other]) is not None for at, other in apart)
    print(f"of {len(apart):,} pairs that are not linked {false} would be refused as taken out")
    for kind in KINDS:
        draw = random.Random(kind)
        copies = [planted(photo, kind, draw) for photo in originals]
        found = set(duplicates.copies(copies + signatures, distance=distance, first=len(copies)))
        hits = [(at, len(copies) + number) in found for at, number in enumerate(chosen)]
        known = [one.like(copy) is not None for one, copy in zip(kept, copies, strict=True)]
        print(f"{kind:24}{np.mean(hits):7.1%} of {len(hits)} joined, {sum(known)} known when taken out")


if __name__ == "__main__":
    main()
