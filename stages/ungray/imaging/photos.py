"""Reading and writing photographs: hostile files are refused, every kind comes out as upright 8-bit sRGB."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from PIL import Image, ImageChops

from ungray.errors import UngrayError
from ungray.imaging.color import Rgb
from ungray.imaging.reading import profiles
from ungray.imaging.reading.decode import decode, probe
from ungray.imaging.reading.formats import FORMATS, PhotoError, damaged
from ungray.imaging.reading.raster import Raster, to_8_bits
from ungray.system.files import whole_file
from ungray.system.limits import MAX_BYTES

__all__ = ["CODE", "FORMATS", "LIBRARIES", "PhotoError", "Rgb", "damaged", "decode", "probe"]

CODE = (Path(__file__), Path(__file__).parent / "structure.py", Path(__file__).parent / "reading")
"""The code that decides which pixels a photo has."""

LIBRARIES = (
    *("imagecodecs", "numpy", "opencv-python", "pillow", "pillow-heif", "pillow-jxl-plugin", "simplejpeg"),
    "tifffile",
)
"""The packages that decide it, too."""


def read_rgb(source: Path | bytes) -> Rgb:
    """Return a photograph as uint8 sRGB of shape (height, width, 3).

    It is decoded fully; the EXIF orientation is applied, more than 8 bits are scaled to 8, an embedded color
    profile is converted to sRGB, and transparency is composited on white. The first picture of an animation
    or of several pages is read. A profile that cannot be read, or is for another kind of photo, is ignored,
    as in browsers.

    Raises:
        PhotoError: it is not an image of a known format, is of an unsupported kind, is damaged or truncated,
            or has too many pixels.
    """
    content = _bytes_of(source) if isinstance(source, Path) else source
    try:
        return _to_srgb(decode(content))
    except PhotoError:
        raise
    except Exception as error:  # colors that cannot be converted, or a lack of memory
        raise damaged(error) from None


def _bytes_of(path: Path) -> bytes:
    with path.open("rb") as file:
        content = file.read(MAX_BYTES + 1)
    if len(content) > MAX_BYTES:
        raise PhotoError(f"larger than {MAX_BYTES / 1e9:g} GB")
    return content


def _to_srgb(raster: Raster) -> Rgb:
    if raster.colors.dtype == np.uint16:
        rgb = to_8_bits(profiles.to_srgb_deep(raster.colors, raster.profile))
        image = Image.fromarray(rgb).convert("RGB")
    else:
        image = profiles.to_srgb_image(Image.fromarray(raster.colors, raster.mode), raster.profile)
    if raster.alpha is not None:
        image.paste("white", mask=ImageChops.invert(Image.fromarray(to_8_bits(raster.alpha))))
    return np.asarray(image)


def write_rgb(path: Path, rgb: Rgb, *, quality: int = 95) -> None:
    """Write uint8 RGB (height, width, 3) to ``path``; the extension (.jpg, .png, .webp) gives the format.

    See :func:`encode_rgb`. The file appears whole or not at all.
    """
    try:
        content = encode_rgb(rgb, suffix=path.suffix, quality=quality)
    except UngrayError as error:
        raise UngrayError(f"{path}: {error}") from None
    with whole_file(path) as partial:
        partial.write_bytes(content)


def encode_rgb(rgb: Rgb, *, suffix: str, quality: int = 95) -> bytes:
    """Return uint8 RGB (height, width, 3) as a file with the extension ``suffix`` (.jpg, .png, .webp).

    JPEG keeps its color at full resolution (4:4:4), since color is what matters here.

    Raises:
        UngrayError: the extension is unknown, or the photo is too large for the format.
    """
    suffix = {".jpeg": ".jpg"}.get(suffix.lower(), suffix.lower())
    if suffix not in (".png", ".jpg", ".webp"):
        raise UngrayError(f"the format {suffix or '(none)'} cannot be written; use .png, .jpg or .webp")
    written, encoded = cv2.imencode(
        suffix, cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR), codec_options(suffix[1:], quality)
    )
    if not written:
        raise UngrayError(f"a photo of {rgb.shape[1]}x{rgb.shape[0]} cannot be written as {suffix}")
    return encoded.tobytes()


def codec_options(kind: str, quality: int, *, halved: bool = False) -> list[int]:
    """Return OpenCV's options for writing a photo as ``kind``: jpg, png or webp.

    ``halved``: a JPEG's color at half the resolution (4:2:0) instead of full (4:4:4).
    """
    sampling = cv2.IMWRITE_JPEG_SAMPLING_FACTOR_420 if halved else cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444
    return {
        "jpg": [cv2.IMWRITE_JPEG_QUALITY, quality, cv2.IMWRITE_JPEG_SAMPLING_FACTOR, sampling],
        "png": [cv2.IMWRITE_PNG_COMPRESSION, 6],
        "webp": [cv2.IMWRITE_WEBP_QUALITY, quality],
    }[kind]
