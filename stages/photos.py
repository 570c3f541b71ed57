"""Reading and writing photographs: hostile files are refused, every kind comes out as upright 8-bit sRGB."""

from __future__ import annotations

import io
import re
import warnings
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageChops, ImageCms, ImageOps, TiffImagePlugin, UnidentifiedImageError

from stages import structure
from stages.errors import UngrayError
from stages.files import sha256, whole_file

FORMATS = {
    "JPEG": "jpg",
    "PNG": "png",
    "WEBP": "webp",
    "TIFF": "tif",
    "BMP": "bmp",
    "GIF": "gif",
    "MPO": "jpg",
}
"""The formats that are read, by Pillow's name, and the file extension each gets."""

MAX_PIXELS = 178_000_000
"""A photo of more pixels is refused before it is decoded; just below where Pillow itself refuses."""

Rgb = NDArray[np.uint8]


class PhotoError(UngrayError):
    """A file that cannot be read as a photograph; the message says why in a few words."""


def probe(content: bytes) -> tuple[str, int, int]:
    """Return format (a key of :data:`FORMATS`), width and height in pixels, read from the header only.

    Raises:
        PhotoError: not an image of a known format, of a kind that is not read, or too many pixels.
    """
    try:
        with open_image(content) as image:
            return str(image.format), image.width, image.height
    except PhotoError:
        raise
    except Exception as error:  # see read_rgb
        raise damaged(error) from None


def read_rgb(source: Path | bytes) -> Rgb:
    """Return a photograph as uint8 sRGB of shape (height, width, 3).

    Decoded fully; the EXIF orientation is applied, more than 8 bits scaled to 8, an embedded colour profile
    converted to sRGB, transparency laid on white; of an animation or several pages the first is taken. A
    profile that cannot be read, or is for another kind of photo, is ignored, as browsers do.

    Raises:
        PhotoError: not an image of a known format, of a kind that is not read, damaged or truncated, or too
            many pixels.
    """
    content = source.read_bytes() if isinstance(source, Path) else source
    try:
        return np.asarray(_to_srgb(*_decode(content)))
    except PhotoError:
        raise
    except Exception as error:
        # Decoders of damaged and hostile files raise anything: OSError, SyntaxError, struct.error ...
        raise damaged(error) from None


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

    JPEG keeps its colour at full resolution (4:4:4), since colour is what these photos are for.

    Raises:
        UngrayError: another extension, or a photo too large for the format.
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
    """Return OpenCV's options for writing a photo of a kind, jpg, png or webp.

    ``halved``: a JPEG's colour at half the resolution (4:2:0) instead of full (4:4:4).
    """
    sampling = cv2.IMWRITE_JPEG_SAMPLING_FACTOR_420 if halved else cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444
    return {
        "jpg": [cv2.IMWRITE_JPEG_QUALITY, quality, cv2.IMWRITE_JPEG_SAMPLING_FACTOR, sampling],
        "png": [cv2.IMWRITE_PNG_COMPRESSION, 6],
        "webp": [cv2.IMWRITE_WEBP_QUALITY, quality],
    }[kind]


def folder_name(query: str) -> str:
    """Return a folder name for ``query`` that is safe on every system and different for different queries."""
    name = re.sub(r"[^\w\- ]+", "_", query).strip(" _")[:60].rstrip()
    # Some systems take Moon and moon for one folder, and con or com1 for a device.
    reserved = re.fullmatch(r"con|prn|aux|nul|(com|lpt)\d", name)
    plain = name == query and name == name.lower() and name and not reserved
    return name if plain else f"{name or 'query'}-{sha256(query.encode())[:8]}"


def damaged(error: Exception) -> PhotoError:
    """Return what to say of a photo whose decoder raised ``error``."""
    if isinstance(error, MemoryError):
        return PhotoError("needs more memory than there is")
    return PhotoError(f"damaged: {(str(error) or type(error).__name__).splitlines()[0]}")


def open_image(content: bytes) -> Image.Image:
    """Return the photo, its header read and its size checked, not yet decoded.

    Raises:
        PhotoError: not an image of a known format, of a kind that is not read, too many pixels, or built
            to cost more than a photo does (see :mod:`stages.structure`).
    """
    if found := structure.objection(content):
        raise PhotoError(found)
    TiffImagePlugin.READ_LIBTIFF = True  # Pillow's own reader takes 16-bit planes for 8-bit ones
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow warns of large images; the cap below decides
            image = Image.open(io.BytesIO(content), formats=[name for name in FORMATS if name != "MPO"])
    except UnidentifiedImageError:
        raise PhotoError(_why_unidentified(content)) from None
    except Image.DecompressionBombError:
        raise PhotoError(f"more than {MAX_PIXELS / 1e6:.0f} megapixels") from None
    pixels = image.width * image.height
    if pixels > MAX_PIXELS:
        raise PhotoError(f"more than {MAX_PIXELS / 1e6:.0f} megapixels")
    if image.format == "JPEG" and pixels > 1000 * len(content):
        # An 8x8 block takes a bit at least; what is missing the decoder would fill with gray, at great cost.
        raise PhotoError("damaged: too few bytes for its pixels")
    return image


def _why_unidentified(content: bytes) -> str:
    if content[:4] not in TiffImagePlugin.PREFIXES:
        return "not an image of a known format (JPEG, PNG, WebP, TIFF, BMP, GIF)"
    try:
        tags = _tiff_tags(content)
        samples, bits = tags.get(TiffImagePlugin.SAMPLESPERPIXEL, 1), max(tags[TiffImagePlugin.BITSPERSAMPLE])
        kind = "floating-point " if 3 in tags.get(TiffImagePlugin.SAMPLEFORMAT, ()) else ""
    except Exception:  # see read_rgb
        return "damaged: a TIFF whose tags cannot be read"
    return f"a TIFF of {samples} {kind}samples of {bits} bits is not read; save it as RGB of 8 or 16 bits"


def _tiff_tags(content: bytes) -> TiffImagePlugin.ImageFileDirectory_v2:
    stream = io.BytesIO(content)
    tags = TiffImagePlugin.ImageFileDirectory_v2(content[:16] if content[2:3] == b"+" else content[:8])
    stream.seek(tags.next)
    tags.load(stream)
    return tags


def _decode(content: bytes) -> tuple[Image.Image, Image.Image | None, bytes | None]:
    """Return the upright photo and its alpha, see :func:`split_alpha`, and its ICC profile."""
    # In a function of its own, so that what the decoder holds is given back before colours are converted.
    with open_image(content) as image:
        image.load()
        ImageOps.exif_transpose(image, in_place=True)
        return *split_alpha(image), image.info.get("icc_profile")


def _to_srgb(colours: Image.Image, alpha: Image.Image | None, profile: bytes | None) -> Image.Image:
    rgb = to_srgb_colours(colours, profile)
    if alpha is not None:
        rgb.paste("white", mask=ImageChops.invert(alpha))
    return rgb


def split_alpha(image: Image.Image) -> tuple[Image.Image, Image.Image | None]:
    """Return a photo in mode L, RGB, CMYK or LAB, 8 bits a sample, and its alpha in mode L, if it has any."""
    alpha = None
    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        image, alpha = _eight_bits(image)
    elif image.mode in ("P", "PA"):
        image = image.convert("RGBA" if image.mode == "PA" or "transparency" in image.info else "RGB")
    elif image.mode in ("RGBa", "La"):  # alpha multiplied into the colours
        image = image.convert(image.mode.upper())
    elif "transparency" in image.info:  # one colour marked as transparent
        alpha = image.convert("RGBA").getchannel("A")
    if image.mode in ("LA", "RGBA"):
        alpha = image.getchannel("A")
    mode = {"1": "L", "LA": "L", "L": "L", "CMYK": "CMYK", "LAB": "LAB"}.get(image.mode, "RGB")
    return (image if image.mode == mode else image.convert(mode)), alpha


def _eight_bits(image: Image.Image) -> tuple[Image.Image, Image.Image | None]:
    """Return a gray photo of more than 8 bits as one of 8 bits, and its alpha; see :func:`split_alpha`."""
    tags = getattr(image, "tag_v2", {})  # of a TIFF
    values = np.asarray(image)
    alpha = None
    if image.mode == "F":
        if not np.median(values) <= 1:
            raise PhotoError("floating-point values beyond 0..1; save it with 8 or 16 bits")
        gray = (np.nan_to_num(values).clip(0, 1) * 255 + 0.5).astype(np.uint8)
    elif image.mode == "I":
        if max(tags.get(TiffImagePlugin.SAMPLEFORMAT, (1,))) != 1:
            raise PhotoError("values with a sign; save it with 8 or 16 bits")
        gray = (values.view(np.uint32) >> 24).astype(np.uint8)
    else:
        bits = max(tags.get(TiffImagePlugin.BITSPERSAMPLE, (16,)))
        gray = (values >> (bits - 8)).astype(np.uint8)
        if "transparency" in image.info:
            alpha = Image.fromarray(np.where(values == image.info["transparency"], 0, 255).astype(np.uint8))
    if tags.get(TiffImagePlugin.PHOTOMETRIC_INTERPRETATION) == 0:  # white is zero
        gray = 255 - gray
    return Image.fromarray(gray), alpha


def to_srgb_colours(image: Image.Image, profile: bytes | None) -> Image.Image:
    """Return ``image`` (mode L, RGB, CMYK or LAB) in mode RGB, its colours converted to sRGB."""
    if profile and image.mode != "LAB":
        # A gray photo with a profile for RGB has that profile's tones, in three equal channels.
        for mode in dict.fromkeys([image.mode, "RGB" if image.mode == "L" else image.mode]):
            convert = _to_srgb_from(profile, mode)
            if convert is not None:
                return convert.apply(image if image.mode == mode else image.convert(mode))
    return image if image.mode == "RGB" else image.convert("RGB")


@lru_cache(maxsize=8)
def _to_srgb_from(profile: bytes, mode: str) -> ImageCms.ImageCmsTransform | None:
    """Return what converts photos of ``mode`` (L, RGB or CMYK) with this ICC profile to sRGB.

    None if there is nothing to convert: the profile is sRGB itself to one level (as most are; conversion
    costs four times what decoding does), is damaged, or is for another kind of photo.
    """
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        srgb = ImageCms.createProfile("sRGB")
        convert = ImageCms.buildTransform(source, srgb, mode, "RGB")
        colours = Image.fromarray(_COLOURS).convert(mode)
        change = np.asarray(convert.apply(colours)).astype(int) - np.asarray(colours.convert("RGB"))
    except (ImageCms.PyCMSError, OSError):
        return None
    return convert if np.abs(change).max() > 1 else None


_COLOURS = np.stack(np.meshgrid(*[np.arange(0, 256, 15)] * 3), axis=-1).reshape(18, -1, 3).astype(np.uint8)
"""Colours all over sRGB, by which a profile is known to be sRGB."""
