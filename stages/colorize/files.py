"""Photo files of any kind in, coloured photos out: lightness, transparency and EXIF data are kept.

>>> from pathlib import Path
>>> from stages.colorize import files
>>> from stages.colorize.api import Colorizer
>>> photo = files.read(Path("photo.jpg").read_bytes())
>>> coloured = Colorizer.load().predict(photo).render()
>>> files.encode(photo, coloured, format="png")[1:4]
b'PNG'
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import nanoarrow
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, JpegImagePlugin, TiffImagePlugin

from stages import photos
from stages.colorize import encoding
from stages.colorize import exif as exif_data
from stages.painting import Gray, gray_levels

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


BAND = 1 << 21
"""Pixels taken from Pillow at once."""


@dataclass(frozen=True)
class Photo:
    """A photo made gray.

    ``gray`` uint16 (height, width), levels of the sRGB curve (a photo of 8 bits has every 257th, or between
    them where it was coloured); ``alpha`` uint8 or uint16 (height, width); ``exif`` as written into a file,
    without its thumbnail, upright; ``bits`` 8 or 16; ``format`` an extension: jpg, png, webp, tif, bmp, gif;
    ``halved``: it was a JPEG whose colour has half the resolution (4:2:0), as most cameras write them.
    """

    gray: Gray
    alpha: NDArray[Any] | None
    exif: bytes | None
    bits: int
    format: str
    halved: bool = False

    @property
    def width(self) -> int:
        """Pixels."""
        return self.gray.shape[1]

    @property
    def height(self) -> int:
        """Pixels."""
        return self.gray.shape[0]


def read(content: bytes) -> Photo:
    """Return the photo in a file.

    Of an animation or several pages the first is taken. Sixteen bits are kept of gray and RGB photos, in PNG
    and TIFF; other photos of more than 8 bits are taken at 8.

    Raises:
        PhotoError: not an image of a known format, of a kind that is not read, damaged or truncated, or too
            many pixels.
    """
    try:
        with photos.open_image(content) as image:
            deep = _sixteen_bits(image, content)
            return from_image(image, deep=deep)
    except photos.PhotoError:
        raise
    except Exception as error:  # decoders of damaged and hostile files raise anything
        raise photos.damaged(error) from None


def from_image(image: Image.Image, *, deep: NDArray[np.uint16] | None = None) -> Photo:
    """Return what is in a Pillow image of any mode; ``deep``: its pixels at 16 bits, where Pillow has 8."""
    image.load()
    about = exif_data.read(image)
    kind = photos.FORMATS.get(image.format or "", "png")
    halved = isinstance(image, JpegImagePlugin.JpegImageFile) and JpegImagePlugin.get_sampling(image) == 2
    if deep is None and image.mode.startswith("I;16") and "transparency" not in image.info:
        deep = _gray_of_tiff(image)
    if deep is not None:
        if profile := image.info.get("icc_profile"):
            deep = _to_srgb(deep, profile)
        deep = TURNS.get(exif_data.orientation(image), lambda pixels: pixels)(deep)
        return from_array(deep, exif=about, format=kind)
    if exif_data.orientation(image) != 1:
        image = ImageOps.exif_transpose(image)
    colours, transparency = photos.split_alpha(image)
    profile = image.info.get("icc_profile")
    if colours.mode != "L" or profile:
        colours = photos.to_srgb_colours(colours, profile)
    return Photo(
        gray=_gray(colours),
        alpha=None if transparency is None else np.asarray(transparency),
        exif=about,
        bits=8,
        format=kind,
        halved=halved,
    )


def from_array(pixels: NDArray[Any], *, exif: bytes | None = None, format: str = "png") -> Photo:
    """Return what is in an array, uint8 or uint16: (height, width), or 1 to 4 channels: gray or RGB, alpha.

    Raises:
        PhotoError: another shape or type.
    """
    shape = pixels.shape
    known = len(shape) == 2 or (len(shape) == 3 and 1 <= shape[2] <= 4)
    if pixels.dtype not in (np.uint8, np.uint16) or not known or 0 in shape:
        raise photos.PhotoError(
            f"an array of {pixels.dtype} {shape} is no photo; give uint8 or uint16, (height, width) or "
            "(height, width, channels) with 1 to 4 channels: gray or RGB, and alpha"
        )
    alpha = None
    if len(shape) == 3 and shape[2] in (2, 4):
        pixels, alpha = pixels[..., :-1], pixels[..., -1]
    if pixels.ndim == 3 and pixels.shape[2] == 1:
        pixels = pixels[..., 0]
    return Photo(gray_levels(pixels), alpha, exif, 8 * pixels.dtype.itemsize, format)


def encode(photo: Photo, rgb: NDArray[Any], *, format: str, quality: int = 95) -> bytes:
    """Return the coloured ``photo`` as a file: its EXIF data and its alpha kept, tagged sRGB.

    Args:
        photo: what was coloured.
        rgb: its colours, sRGB, uint8 or uint16 (height, width, 3).
        format: jpg, png, webp or tif; png and tif keep 16 bits. A JPEG has no alpha: it is laid on white;
            it has colour at full resolution, or at half if the photo had.
        quality: of jpg and webp, 1 to 100.

    Raises:
        UngrayError: another format, or a photo too large for it.
    """
    return encoding.encode(
        rgb, format=format, alpha=photo.alpha, exif=photo.exif, quality=quality, halved=photo.halved
    )


def _gray(colours: Image.Image) -> Gray:
    """Return the gray levels of a photo in mode L or RGB, in bands, whose pixels Pillow has in one piece."""
    width, height = colours.size
    gray = np.empty((height, width), np.uint16)
    band = max(1, BAND // width)
    for top in range(0, height, band):
        part = colours if band >= height else colours.crop((0, top, width, min(top + band, height)))
        gray[top : top + band] = gray_levels(_pixels(part))
    return gray


def _pixels(image: Image.Image) -> NDArray[np.uint8]:
    """Return the pixels of an image of mode L, or those of mode RGB with the fourth byte that Pillow adds."""
    if image.mode == "RGB":
        try:  # Arrow shows them where they are; Pillow's own way copies twice, while no other thread can run
            return np.asarray(nanoarrow.c_array(image).child(0).view().buffer(1)).reshape(
                *image.size[::-1], 4
            )
        except ValueError:  # not in one piece: PILLOW_BLOCK_SIZE can say so
            pass
    return np.asarray(image)


def _sixteen_bits(image: Image.Image, content: bytes) -> NDArray[np.uint16] | None:
    """Return the pixels of an RGB photo of 16 bits; None for any other, which Pillow reads as it is."""
    if image.format == "PNG":
        deep = content[24] == 16 and image.mode in ("RGB", "RGBA")
    elif image.format == "TIFF":
        bits = image.tag_v2.get(TiffImagePlugin.BITSPERSAMPLE, ())  # type: ignore[attr-defined]
        deep = set(bits) == {16} and image.mode in ("RGB", "RGBA", "RGBX")
    else:
        deep = False
    if not deep:
        return None
    image.load()  # says what is wrong with a damaged file; OpenCV fills in what is missing
    pixels = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED)
    if pixels is None or pixels.dtype != np.uint16 or pixels.ndim != 3:
        return None
    return cv2.cvtColor(pixels, cv2.COLOR_BGRA2RGBA if pixels.shape[2] == 4 else cv2.COLOR_BGR2RGB)  # type: ignore[return-value]


def _to_srgb(pixels: NDArray[np.uint16], profile: bytes) -> NDArray[np.uint16]:
    """Return pixels, gray or RGB (and alpha), in sRGB; as they are if the profile is damaged or for others.

    Pillow's colour management has 8 bits; this is the same one, Little CMS, with 16.
    """
    import imagecodecs  # not above: few photos need it

    kind = {b"GRAY": "gray", b"RGB ": "rgb"}.get(profile[16:20])
    gray = pixels.ndim == 2
    if kind is None or (kind == "gray" and not gray):
        return pixels
    converted = np.empty((*pixels.shape[:2], 3), np.uint16)
    try:
        for top in range(0, len(pixels), BAND):
            band = pixels[top : top + BAND]
            if gray and kind == "rgb":  # that profile's tones, in three equal channels
                band = np.repeat(band[..., None], 3, axis=2)
            band = np.ascontiguousarray(band[..., :3] if kind == "rgb" else band)
            converted[top : top + BAND] = imagecodecs.cms_transform(
                band, profile, encoding.srgb_profile(), colorspace=kind, outcolorspace="rgb"
            )
    except imagecodecs.CmsError:
        return pixels
    return converted if gray or pixels.shape[2] == 3 else np.dstack([converted, pixels[..., 3]])


def _gray_of_tiff(image: Image.Image) -> NDArray[np.uint16]:
    """Return a gray photo of 9 to 16 bits at 16 bits."""
    tags = getattr(image, "tag_v2", {})
    values = np.asarray(image).astype(np.uint16)
    bits = max(tags.get(TiffImagePlugin.BITSPERSAMPLE, (16,)))
    if bits < 16:
        values = (values.astype(np.uint32) * 65535 // (2**bits - 1)).astype(np.uint16)
    if tags.get(TiffImagePlugin.PHOTOMETRIC_INTERPRETATION) == 0:  # white is zero
        values = 65535 - values
    return values
