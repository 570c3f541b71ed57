"""Photos of 16 bits, which Pillow reads at 8 where they have colour."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, TiffImagePlugin

from stages import photos
from stages.colorize import encoding
from stages.painting import gray_levels

Deep = NDArray[np.uint16]

TURNS: dict[int, Any] = {
    2: lambda pixels: pixels[:, ::-1],
    3: lambda pixels: pixels[::-1, ::-1],
    4: lambda pixels: pixels[::-1],
    5: lambda pixels: pixels.swapaxes(0, 1),
    6: lambda pixels: pixels[::-1].swapaxes(0, 1),
    7: lambda pixels: pixels[::-1, ::-1].swapaxes(0, 1),
    8: lambda pixels: pixels[:, ::-1].swapaxes(0, 1),
}
"""What sets a photo upright, by its orientation in EXIF."""

BAND = 1 << 18
"""Pixels worked on at once."""


def read(image: Image.Image, content: bytes | None, *, orientation: int) -> tuple[Deep, Deep | None] | None:
    """Return a photo's colours in sRGB, gray (height, width) or RGB (height, width, 3), and any alpha.

    ``content`` is the file that a decoded ``image`` came from. Without it only gray is found at 16 bits: that
    Pillow has, and RGB it has not. The photo is set upright by ``orientation``, that of the file. None is any
    photo of 8 bits, or one that is taken at 8: TIFFs for print (CMYK) and gray ones of 32 bits.

    Raises:
        PhotoError: integers of a Pillow image (mode I) beyond 0..65535.
        Exception: of the decoder's own kinds, for a damaged file.
    """
    found = _gray(image)
    if found is not None and image.format == "TIFF":
        orientation = 1  # Pillow has set it upright
    if found is None and content is not None and image.mode in ("RGB", "RGBA"):
        found = _of_png(content) if image.format == "PNG" else _of_tiff(image, content)
    if found is None:
        return None
    turn = TURNS.get(orientation, lambda pixels: pixels)
    colours, alpha = turn(found[0]), None if found[1] is None else turn(found[1])
    profile = image.info.get("icc_profile")
    return (_to_srgb(colours, profile) if profile else colours), alpha


def _gray(image: Image.Image) -> tuple[Deep, Deep | None] | None:
    tags = getattr(image, "tag_v2", None)
    if image.mode == "I" and tags is None:
        values = np.asarray(image)
        if values.min() < 0 or values.max() > 65535:
            raise photos.PhotoError(
                f"an image of integers in {values.min()}..{values.max()} is no photo; give levels in 0..255 "
                "or 0..65535"
            )
        return None if values.max() <= 255 else (values.astype(np.uint16), None)
    if not image.mode.startswith("I;16"):
        return None
    tags = tags or {}
    values = np.asarray(image).astype(np.uint16)
    mark = image.info.get("transparency")  # the one tone that is transparent
    alpha = None if mark is None else np.where(values == mark, 0, 65535).astype(np.uint16)
    bits = max(tags.get(TiffImagePlugin.BITSPERSAMPLE, (16,)))
    if bits < 16:
        values = (values.astype(np.uint32) * 65535 // (2**bits - 1)).astype(np.uint16)
    if tags.get(TiffImagePlugin.PHOTOMETRIC_INTERPRETATION) == 0:  # white is zero
        values = 65535 - values
    return values, alpha


def _of_png(content: bytes) -> tuple[Deep, Deep | None] | None:
    if content[24] != 16:
        return None
    import imagecodecs  # not above: few photos need it

    pixels = imagecodecs.png_decode(content)
    if pixels.shape[2] in (2, 4):
        return (pixels[..., 0] if pixels.shape[2] == 2 else pixels[..., :3]), pixels[..., -1]
    return pixels, None


def _of_tiff(image: Image.Image, content: bytes) -> tuple[Deep, Deep | None] | None:
    tags = getattr(image, "tag_v2", {})
    if set(tags.get(TiffImagePlugin.BITSPERSAMPLE, ())) != {16}:
        return None
    import imagecodecs

    # Not OpenCV: it takes planes for pixels, and fills in what is missing of a damaged file.
    pixels = imagecodecs.tiff_decode(content)
    if tags.get(TiffImagePlugin.PLANAR_CONFIGURATION) == 2:
        pixels = np.ascontiguousarray(np.moveaxis(pixels, 0, 2))
    if image.mode == "RGB":  # a fourth channel is of infrared, or of anything else
        return pixels[..., :3], None
    colours, alpha = pixels[..., :3], pixels[..., 3]
    if tags.get(TiffImagePlugin.EXTRASAMPLES) == (1,):
        colours = _divided(colours, alpha)
    return colours, alpha


def _divided(colours: Deep, alpha: Deep) -> Deep:
    """Return colours that alpha was multiplied into as they were before."""
    divided = np.empty_like(colours)
    for rows in _bands(colours):
        part = alpha[rows, :, None].astype(np.uint32)
        whole = colours[rows] * np.uint32(65535) + part // 2
        divided[rows] = np.where(part == 0, colours[rows], (whole // np.maximum(part, 1)).clip(0, 65535))
    return divided


def _to_srgb(colours: Deep, profile: bytes) -> Deep:
    """Return gray or RGB in sRGB; as they are if the profile is damaged or for others."""
    kind = {b"GRAY": "gray", b"RGB ": "rgb"}.get(profile[16:20])
    gray = colours.ndim == 2
    if kind is None or (kind == "gray" and not gray):
        return colours
    import imagecodecs

    try:
        if gray:
            tones = np.arange(65536, dtype=np.uint16)[None]
            if kind == "rgb":  # that profile's tones, in three equal channels
                tones = np.repeat(tones[..., None], 3, axis=2)
            return gray_levels(_converted(tones, profile, kind))[0][colours]
        with ThreadPoolExecutor(cv2.getNumThreads()) as pool:
            bands = (colours[rows] for rows in _bands(colours))
            return np.concatenate(list(pool.map(lambda band: _converted(band, profile, kind), bands)))
    except imagecodecs.CmsError:
        return colours


def _converted(pixels: Deep, profile: bytes, kind: str) -> Deep:
    """Return pixels, ``kind`` gray or rgb, in sRGB, by Little CMS; Pillow's use of it has 8 bits."""
    import imagecodecs

    return imagecodecs.cms_transform(
        np.ascontiguousarray(pixels),
        profile,
        encoding.srgb_profile(),
        colorspace=kind,
        outcolorspace="rgb",
        flags=imagecodecs.CMS.FLAGS.NOOPTIMIZE,  # its tables are off by ten levels of 8 bits in shadows
    )


def _bands(pixels: Deep) -> Iterator[slice]:
    rows = max(1, BAND // pixels.shape[1])
    return (slice(top, top + rows) for top in range(0, len(pixels), rows))
