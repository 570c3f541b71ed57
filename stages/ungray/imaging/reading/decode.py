"""From a photo's file to its raster: which decoder reads which kind, and with which options."""

from __future__ import annotations

import io
import struct
import warnings
from functools import partial
from typing import Any

import numpy as np
from PIL import Image, ImageFile, JpegImagePlugin, PsdImagePlugin, UnidentifiedImageError

from ungray.imaging import structure
from ungray.imaging.reading import boxes, jpeg, jxl, png, profiles, raw, tiff
from ungray.imaging.reading.formats import NAMES, PhotoError, check_pixels, damaged, format_of
from ungray.imaging.reading.raster import Pixels, Raster, exif_and_orientation, upright

RISKY = ("AVIF", "HEIF", "JPEG2000", "JXL", "PSD", "RAW")
"""Kinds whose decoders are new or rarely used: they run in a process of their own, in case they crash."""

SEVERAL = ("AVIF", "GIF", "HEIF", "PNG", "WEBP")
"""Kinds that Pillow reads and that may hold several pictures, of which the first is taken."""


def probe(content: bytes) -> tuple[str, int, int]:
    """Return format (a key of FORMATS), width and height in pixels, read from the header only.

    Width and height may be swapped if the photo is stored on its side.

    Raises:
        PhotoError: it is not an image of a known format, is of an unsupported kind, or has too many pixels.
    """
    try:
        kind = _kind(content)
        if kind == "TIFF":
            directory = tiff.find_page(content)
            width, height = directory.imagewidth, directory.imagelength
        elif kind == "JXL":
            width, height = jxl.dimensions(content)
        elif kind == "RAW":
            width, height = raw.dimensions(content)
        else:
            with open_image(content, kind) as image:
                kind, width, height = str(image.format), image.width, image.height
        check_pixels(width, height)
        return kind, width, height
    except PhotoError:
        raise
    except Exception as error:  # decoders raise anything for damaged and hostile files
        raise damaged(error) from None


def decode(content: bytes, page: int = 0) -> Raster:
    """Return the photo in a file: page ``page`` of a TIFF, or the first picture of an animation.

    All of its pixels must be present and intact; nothing is filled in. Other data (EXIF data, XMP, profile,
    an end mark) are left out if they are damaged. Kinds whose decoder might crash (:data:`RISKY`) are read in
    a separate process, see :mod:`ungray.imaging.decoding`.

    Raises:
        PhotoError: it is not an image of a known format, is of an unsupported kind, is damaged or truncated,
            has too many pixels, or has no such page.
    """
    try:
        kind = _kind(content)
        if kind in RISKY or (kind == "TIFF" and tiff.is_risky(content)):
            from ungray.imaging import decoding  # it imports this module

            if not decoding.serving:
                return decoding.limited(partial(decode, page=page), content)
        if kind == "TIFF":
            return tiff.decode(content, page)
        if page:
            raise PhotoError("has no further pages")
        if kind == "JXL":
            return jxl.decode(content)
        if kind == "RAW":
            return raw.decode(content)
        return _by_pillow(content, kind)
    except PhotoError:
        raise
    except Exception as error:  # see probe
        raise damaged(error) from None


def open_image(content: bytes, kind: str) -> ImageFile.ImageFile:
    """Return a photo of a kind that Pillow reads, with its header read and its size checked, not yet decoded.

    Raises:
        PhotoError: it is damaged, or has too many pixels.
    """
    if kind == "HEIF":
        import pillow_heif  # imported here: few photos need it

        pillow_heif.register_heif_opener()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow warns of large images; the cap below decides
            image = Image.open(io.BytesIO(content), formats=[kind])
    except UnidentifiedImageError:
        raise PhotoError(_why_not_opened(content, kind)) from None
    except Image.DecompressionBombError:
        raise PhotoError("more than 178 megapixels") from None
    check_pixels(image.width, image.height)
    if kind == "JPEG" and image.width * image.height > 1000 * len(content):
        # An 8x8 block takes at least a bit; the decoder would fill missing ones with gray, at great cost.
        raise PhotoError("damaged: too few bytes for its pixels")
    return image


def _kind(content: bytes) -> str:
    kind = format_of(content)
    if kind is None:
        raise PhotoError(f"not an image of a known format ({NAMES})")
    if found := structure.objection(content):
        raise PhotoError(found)
    return "RAW" if kind == "TIFF" and tiff.is_camera_file(content) else kind


def _why_not_opened(content: bytes, kind: str) -> str:
    if kind == "PSD" and len(content) >= 26:
        channels, bits, mode = *struct.unpack_from(">H", content, 12), *struct.unpack_from(">2H", content, 22)
        if (mode, bits) not in PsdImagePlugin.MODES:
            what = f"a PSD of {channels} channels of {bits} bits in mode {mode}"
            return f"{what} is not supported; save it as TIFF or PNG"
    return f"not an image of a known format ({NAMES}), or damaged in its first bytes"


def _by_pillow(content: bytes, kind: str) -> Raster:
    if kind == "PNG":
        content = png.mended(content)
    with open_image(content, kind) as image:
        if kind == "JPEG" and image.mode in ("L", "RGB"):
            colors: Any = jpeg.pixels(content, "GRAY" if image.mode == "L" else "RGB")
            mode, alpha = image.mode, None
        else:
            if kind == "JPEG":
                jpeg.check(content)
                image.fp = io.BytesIO(content + jpeg.END)
            image.load()
            mode, colors, alpha = _pixels(image, content)
        exif, orientation = exif_and_orientation(image)
        info = image.info
        if kind == "PSD":
            exif, orientation, info["xmp"] = _photoshop_metadata(image)
        if kind == "JPEG2000":
            image.info["icc_profile"], image.info["xmp"] = boxes.jpeg2000_metadata(content)
        if kind == "HEIF":
            orientation = 1  # its decoder sets it upright
        return Raster(
            format=str(image.format),
            mode=mode,
            colors=upright(colors, orientation),
            alpha=upright(alpha, orientation),
            profile=_profile(image, gray=mode == "L"),
            exif=exif,
            xmp=info.get("xmp"),
            dpi=_own_dpi(image),
            turned=orientation > 4,
            halved=isinstance(image, JpegImagePlugin.JpegImageFile)
            and JpegImagePlugin.get_sampling(image) == 2,
            pictures=_pictures(image) if kind in SEVERAL else 1,
        )


def _pictures(image: Image.Image) -> int:
    """Return the number of pictures in a file; those behind a damaged one may be missing."""
    try:
        return int(getattr(image, "n_frames", 1))
    except Exception:  # a GIF is searched to its end, and decoders raise anything
        return 1


def _pixels(image: Image.Image, content: bytes) -> tuple[str, Pixels, Pixels | None]:
    """Return mode, colors and alpha of a loaded image."""
    if image.format == "PNG" and content[24] == 16:
        return _deep_png(image, content)
    if image.format == "PNG" and image.mode in ("1", "L") and "transparency" in image.info:
        # One tone is marked as transparent, in the bit depth of the file.
        tone = np.asarray(image.convert("L"))
        mark = image.info["transparency"]
        if image.mode == "L":  # for one bit Pillow already has it in 8
            mark = mark * 255 // (2 ** content[24] - 1)
        return "L", tone, np.where(tone == mark, 0, 255).astype(np.uint8)
    if image.mode.startswith("I;16"):
        values = np.asarray(image).astype(np.uint16)
        return "L", values, None
    colors, transparency = split_alpha(image)
    if image.format == "PSD" and not _has_transparency(content):
        transparency = None
    return colors.mode, np.asarray(colors), None if transparency is None else np.asarray(transparency)


def _deep_png(image: Image.Image, content: bytes) -> tuple[str, Pixels, Pixels | None]:
    """Return a 16-bit PNG, which Pillow reduces to 8 bits if it has color."""
    import imagecodecs  # imported here: few photos need it

    found = imagecodecs.png_decode(content)
    found = found[..., None] if found.ndim == 2 else found
    channels = 3 if found.shape[2] > 2 else 1
    colors = found[..., :3] if channels == 3 else found[..., 0]
    alpha = found[..., -1] if found.shape[2] > channels else None
    mark = image.info.get("transparency")
    if alpha is None and mark is not None:
        same = colors == np.asarray(mark, np.uint16)
        alpha = np.where(same if channels == 1 else same.all(axis=2), 0, 65535).astype(np.uint16)
    return ("RGB" if channels == 3 else "L"), colors, alpha


def _profile(image: Image.Image, *, gray: bool) -> bytes | None:
    profile = image.info.get("icc_profile")
    if profile or image.format != "PNG" or "srgb" in image.info or "gamma" not in image.info:
        return profile or None
    primaries = image.info.get("chromaticity")
    return profiles.of_gamma(
        image.info["gamma"], primaries if primaries and len(primaries) == 8 else None, gray=gray
    )


def _own_dpi(image: Image.Image) -> tuple[Any, Any] | None:
    """Return the resolution in a file's own header."""
    if isinstance(image, JpegImagePlugin.JpegImageFile) and image.info.get("jfif_unit") not in (1, 2):
        return None  # the resolution is EXIF's, or made up by Pillow
    given = image.info.get("dpi")
    return given if isinstance(given, tuple) and len(given) == 2 else None


def _photoshop_metadata(image: Image.Image) -> tuple[Image.Exif, int, bytes | None]:
    """Return EXIF data, orientation and XMP of a PSD, which are among its resources."""
    resources = {number: data for number, _, data in image.resources}  # type: ignore[attr-defined]
    shell = Image.new("L", (1, 1))
    if 1058 in resources:
        shell.info["exif"] = resources[1058]
    if 1060 in resources:
        shell.info["xmp"] = resources[1060]
    exif, orientation = exif_and_orientation(shell)
    return exif, orientation, resources.get(1060)


def split_alpha(image: Image.Image) -> tuple[Image.Image, Image.Image | None]:
    """Return an 8-bit photo in mode L, RGB, CMYK or LAB, and its alpha in mode L, if it has any."""
    alpha = None
    if image.mode in ("P", "PA"):
        image = image.convert("RGBA" if image.mode == "PA" or "transparency" in image.info else "RGB")
    elif image.mode in ("RGBa", "La"):  # alpha multiplied into the colors
        image = image.convert(image.mode.upper())
    elif "transparency" in image.info:  # one color marked as transparent
        alpha = image.convert("RGBA").getchannel("A")
    if image.mode in ("LA", "RGBA"):
        alpha = image.getchannel("A")
    mode = {"1": "L", "LA": "L", "L": "L", "CMYK": "CMYK", "LAB": "LAB"}.get(image.mode, "RGB")
    return (image if image.mode == mode else image.convert(mode)), alpha


def _has_transparency(psd: bytes) -> bool:
    """Return whether the fourth channel of a PSD is transparency: then the number of layers is negative."""
    place = 26
    for _ in ("colors", "resources"):
        place += 4 + int.from_bytes(psd[place : place + 4])
    has_layers = any(psd[place : place + 4]) and any(psd[place + 4 : place + 8])
    return has_layers and psd[place + 8 : place + 9] >= b"\x80"
