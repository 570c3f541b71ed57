"""Small copies of photos for the page, made when first requested and kept in the working cache."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import cv2

from stages.storage import cache
from ungray.imaging import decoding, photos

SIDES = {"thumbnail": 400, "large": 2000}
"""The largest side in pixels. Thumbnails are about 200 on the page, twice that for high-resolution screens;
the large size exceeds most windows."""

QUALITY = 88


class Pictures:
    """JPEG copies of the photos below ``raw``, kept by the sha256 of the photo."""

    def __init__(self, raw: Path) -> None:
        self.raw = raw
        self.kept = cache.folder("review", cache.fingerprint("pictures", SIDES, QUALITY))
        # One photo per core is decoded at a time, and never the same one twice.
        self._locks = [threading.Lock() for _ in range(os.cpu_count() or 1)]

    def picture(self, file: str, checksum: str, *, kind: str) -> Path:
        """Return the copy of ``file``, whose sha256 is ``checksum``, at most ``SIDES[kind]`` wide and high.

        Raises:
            PhotoError: the photo cannot be read.
            OSError: it is missing.
        """
        path = self.kept / kind / checksum[:2] / f"{checksum}.jpg"
        with self._locks[int(checksum[:8], 16) % len(self._locks)]:
            if not path.exists():
                small = _scaled(
                    decoding.limited(photos.read_rgb, (self.raw / file).read_bytes()), SIDES[kind]
                )
                photos.write_rgb(path, small, quality=QUALITY)
        return path


def _scaled(rgb: photos.Rgb, side: int) -> photos.Rgb:
    height, width = rgb.shape[:2]
    scale = side / max(height, width)
    if scale >= 1:
        return rgb
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return cv2.resize(rgb, size, interpolation=cv2.INTER_AREA)  # type: ignore[return-value]
