"""TIFF by tifffile and imagecodecs: samples of up to 64 bits, any compression, every part complete."""

from __future__ import annotations

import io
import logging
import math
import struct
import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, TiffImagePlugin
from tifffile import COMPRESSION, PHOTOMETRIC, TIFF, TiffFile, TiffPage

from ungray.imaging.reading import jpeg, profiles
from ungray.imaging.reading.formats import PhotoError, check_pixels
from ungray.imaging.reading.raster import Pixels, Raster, exif_and_orientation, to_8_bits, upright
from ungray.system.limits import MAX_BYTES

logging.getLogger("tifffile").setLevel(logging.CRITICAL)  # its messages on odd tags are of no use to users

MAX_PAGES = 10_000

KNEE = 0.8
"""Floating-point light up to here stays as it is; above, see :func:`_rolled_off`."""

CHANNELS: dict[int, int] = {
    PHOTOMETRIC.MINISWHITE: 1,
    PHOTOMETRIC.MINISBLACK: 1,
    PHOTOMETRIC.RGB: 3,
    PHOTOMETRIC.PALETTE: 1,
    PHOTOMETRIC.SEPARATED: 4,
    PHOTOMETRIC.YCBCR: 3,
    PHOTOMETRIC.CIELAB: 3,
    PHOTOMETRIC.ICCLAB: 3,
}
"""The kinds of color that are read, and the number of samples of each, without extra ones."""

FORMS = {1: "", 2: "signed ", 3: "floating-point ", 4: "", 5: "complex ", 6: "complex "}
"""What samples are, by their SampleFormat."""

RAW = (PHOTOMETRIC.CFA, PHOTOMETRIC.LINEAR_RAW)
FAX = (COMPRESSION.CCITTRLE, COMPRESSION.CCITT_T4, COMPRESSION.CCITT_T6)
JPEGS = (COMPRESSION.JPEG, COMPRESSION.OJPEG)
RISKY = (
    "WEBP",
    "JPEG_2000",
    "JPEG2000",
    "JPEGXL",
    "LERC",
    "JPEGXR",
    "JETRAW",
    "APERIO",
    "NDPI",
    "PNG",
    "AVIF",
)
"""Parts of the names of compressions whose decoders are less well tested than the old ones."""

PIXEL_TAGS = (
    *(
        254,
        255,
        256,
        257,
        258,
        259,
        262,
        266,
        273,
        277,
        278,
        279,
        284,
        292,
        293,
        317,
        320,
        322,
        323,
        324,
        325,
    ),
    *(332, 338, 339, 347, 512, 513, 514, 529, 530, 532),
)
"""The tags without which pixels cannot be read, or are read wrongly."""


def find_page(content: bytes, page: int = 0) -> TiffPage:
    """Return the directory of the photo that is page ``page`` of a TIFF, counted from 0.

    Pages are the directories, in the chain and below it, that are marked neither as a smaller copy nor as a
    mask; if all are marked, the largest one is the only page.

    Raises:
        PhotoError: there is no such page, or the structure is damaged.
    """
    found = pages(content)
    if page >= len(found):
        raise PhotoError(f"has {len(found)} pages, and this would be number {page + 1}")
    return found[page]


def pages(content: bytes) -> list[TiffPage]:
    """Return the directories of the photos in a TIFF, see :func:`find_page`.

    Raises:
        PhotoError: there is none, or the structure is damaged.
    """
    try:
        file = TiffFile(io.BytesIO(content))
        chain: list[TiffPage] = []
        for number, directory in enumerate(file.pages):
            if number >= MAX_PAGES:
                raise PhotoError(f"more than {MAX_PAGES} pages")
            below = directory.pages if isinstance(directory, TiffPage) and directory.subifds else ()
            chain += [one for one in (directory, *(below or ())) if isinstance(one, TiffPage)]
    except PhotoError:
        raise
    except Exception as error:  # a damaged structure raises anything
        raise PhotoError(f"damaged: a TIFF whose tags cannot be read ({_line(error)})") from None
    photos = [directory for directory in chain if not _is_copy(directory) and not _is_mask(directory)]
    photos = photos or sorted(chain, key=lambda one: one.imagewidth * one.imagelength)[-1:]
    if not photos:
        raise PhotoError("damaged: a TIFF without an image")
    return photos


def is_camera_file(content: bytes) -> bool:
    """Return whether a TIFF holds what a camera's sensor saw: DNG, NEF, CR2, ARW and others."""
    try:
        first = TiffFile(io.BytesIO(content)).pages.first
    except IndexError:
        raise PhotoError("damaged: a TIFF whose directory is missing") from None
    if 50706 in first.tags or content[8:10] == b"CR":  # DNGVersion; Canon
        return True
    return any(directory.photometric in RAW for directory in pages(content))


def is_risky(content: bytes) -> bool:
    """Return whether any photo of the TIFF is compressed in a way whose decoder might crash."""
    return any(
        word in getattr(COMPRESSION(one.compression), "name", "")
        for one in pages(content)
        if one.compression in set(COMPRESSION)
        for word in RISKY
    )


def decode(content: bytes, page: int = 0) -> Raster:
    """Return page ``page`` of a TIFF; see :func:`find_page`.

    Floating-point photos are in 0..1; light above 1 is rolled off to below 1. More than 8 bits give 16.

    Raises:
        PhotoError: it is of an unsupported kind, has too many pixels, or pixels are missing or damaged.
        Exception: any kind of the decoders, for damaged data.
    """
    directory, count = find_page(content, page), len(pages(content))
    check_pixels(directory.imagewidth, directory.imagelength)
    _check_tags(directory, content)
    _check_kind(directory)
    samples = _samples(directory, content)
    mode, colors, alpha = _colors(directory, samples)
    exif, orientation, xmp = _metadata(directory, content)
    profile = directory.tags.valueof(34675)
    return Raster(
        format="TIFF",
        mode=mode,
        colors=upright(colors, orientation),
        alpha=upright(alpha, orientation),
        profile=bytes(profile) if profile and mode != "LAB" and not _is_lab(directory) else None,
        exif=exif,
        xmp=xmp,
        turned=orientation > 4,
        pages=count,
    )


def _is_copy(directory: TiffPage) -> bool:
    return bool(directory.subfiletype & 1) or directory.tags.valueof(255) == 2


def _is_mask(directory: TiffPage) -> bool:
    return bool(directory.subfiletype & 4) or directory.photometric == PHOTOMETRIC.MASK


def _is_lab(directory: TiffPage) -> bool:
    return directory.photometric in (PHOTOMETRIC.CIELAB, PHOTOMETRIC.ICCLAB)


def _check_tags(directory: TiffPage, content: bytes) -> None:
    """Raise PhotoError if a tag that describes the pixels is damaged.

    tifffile leaves out a tag whose value lies behind the end of the file, and takes its default: pixels of 8
    bits would be read as pixels of one bit.
    """
    form = directory.parent.tiff
    (count,) = struct.unpack_from(form.tagnoformat, content, directory.offset)
    first = directory.offset + form.tagnosize
    for place in range(first, first + count * form.tagsize, form.tagsize):
        (code,) = struct.unpack_from(form.byteorder + "H", content, place)
        if code in PIXEL_TAGS and code not in directory.tags:
            raise PhotoError(f"damaged: tag {code} of the TIFF, which describes its pixels, cannot be read")


def _check_kind(directory: TiffPage) -> None:
    """Raise PhotoError, which names the kind of the TIFF, if that kind is not read."""
    kind, samples, bits = directory.photometric, directory.samplesperpixel, directory.bitspersample
    if kind not in CHANNELS:
        name = PHOTOMETRIC(kind).name if kind in set(PHOTOMETRIC) else f"number {kind}"
        raise PhotoError(f"a TIFF whose colors are of the kind {name} is not supported; save it as RGB")
    if directory.compression not in set(COMPRESSION):
        raise PhotoError(
            f"a TIFF of compression {directory.compression} is not supported; save it with another"
        )
    if directory.compression != 1 and directory.compression not in TIFF.DECOMPRESSORS:
        name = COMPRESSION(directory.compression).name
        raise PhotoError(f"a TIFF of compression {name} is not supported; save it with another")
    if directory.is_subsampled and directory.compression not in JPEGS:
        raise PhotoError(
            "a TIFF of YCbCr with fewer colors than pixels, but no JPEG, is not supported; save it as RGB"
        )
    if directory.imagedepth != 1:
        raise PhotoError("a TIFF of a body, not of a picture, is not supported")
    formats = directory.tags.valueof(339)
    form = FORMS.get(directory.sampleformat)
    what = f"a TIFF of {samples} {form or ''}samples of {bits} bits ({PHOTOMETRIC(kind).name})"
    mixed = isinstance(formats, tuple) and len(set(formats)) > 1
    if form is None or directory.dtype is None or mixed or samples < CHANNELS[kind] or form == "complex ":
        raise PhotoError(f"{what} is not supported; save it as RGB of 8 or 16 bits")
    extra = samples - CHANNELS[kind]
    declared = len(directory.extrasamples)
    if extra and declared != extra and not (declared == 0 and extra == 1 and kind in (1, 2)):
        raise PhotoError(f"{what} does not say what its samples are; save it as RGB of 8 or 16 bits")
    if kind == PHOTOMETRIC.SEPARATED and directory.tags.valueof(332, 1) != 1:
        raise PhotoError("a TIFF for other inks than those of CMYK is not supported; save it as RGB")
    if kind == PHOTOMETRIC.PALETTE and (form or bits > 16 or directory.colormap is None):
        raise PhotoError(f"{what} has no palette that is supported; save it as RGB")
    if form == "signed " and not _is_lab(directory):
        raise PhotoError("values with a sign; save it with 8 or 16 bits")
    if directory.nbytes > MAX_BYTES:
        raise PhotoError(f"{what} needs more memory than is given to a photo; save it as RGB of 8 or 16 bits")
    part = directory.tilewidth * directory.tilelength if directory.is_tiled else 0
    if part > 4 * max(directory.imagewidth * directory.imagelength, 1 << 20):
        raise PhotoError("damaged: a TIFF in tiles far larger than its picture")


def _samples(directory: TiffPage, content: bytes) -> NDArray[Any]:
    """Return all samples of a directory, (height, width, samples), in tifffile's dtype.

    Every strip or tile must decode to all of its rows and columns.
    """
    planes, _, height, width, channels = directory.shaped
    found = np.empty((planes, height, width, channels), directory.dtype)
    parts = math.prod(directory.chunked)
    offsets, counts = directory.dataoffsets, directory.databytecounts
    if len(offsets) < parts or len(counts) < parts:
        raise PhotoError("damaged: parts of its pixels are missing")
    tables = {}
    if directory.compression in JPEGS:
        tables = {"jpegtables": directory.jpegtables, "jpegheader": directory.jpegheader}
    for number in range(parts):
        data = content[offsets[number] : offsets[number] + counts[number]]
        if not data:
            raise PhotoError("damaged: parts of its pixels are missing")
        segment, (plane, _, top, left, _), _ = directory.decode(data, number, **tables)
        rows = min(directory.tilelength if directory.is_tiled else directory.rowsperstrip, height - top)
        columns = min(directory.tilewidth, width - left) if directory.is_tiled else width
        # The decoded shape of every part is checked: what a decoder leaves out would be uninitialized.
        if segment is None or segment.shape[1] < rows or segment.shape[2] < columns:
            raise PhotoError("damaged: parts of its pixels are missing")
        _check_part(directory, data, number, segment.shape)
        found[plane, top : top + rows, left : left + columns] = segment[0, :rows, :columns]
    return np.moveaxis(found[..., 0], 0, 2) if planes > 1 else found[0]


def _check_part(directory: TiffPage, data: bytes, number: int, shape: tuple[int, ...]) -> None:
    """Raise PhotoError if the decoder of a strip or tile filled in missing data."""
    if directory.compression in JPEGS and directory.bitspersample == 8:
        tables = directory.jpegtables
        jpeg.check(tables[:-2] + data[2:] if tables else data)
    if directory.compression in FAX:
        _check_fax(directory, data, *shape[1:3])


def _check_fax(directory: TiffPage, data: bytes, rows: int, columns: int) -> None:
    """Raise PhotoError unless fax data hold ``rows`` rows; imagecodecs fills in missing ones with white."""
    import imagecodecs

    if directory.fillorder == 2:
        data = bytes(imagecodecs.bitorder_decode(data))
    if directory.compression == COMPRESSION.CCITT_T4:
        whole = _fax_lines(data, tagged=bool(directory.tags.valueof(292, 0) & 1)) >= rows
    else:
        try:
            imagecodecs.tiff_decode(_fax_file(directory, data, rows, columns))  # libtiff counts the rows
            whole = True
        except imagecodecs.TiffError:
            whole = False
    if not whole:
        raise PhotoError("damaged: rows of its pixels are missing")


def _fax_lines(data: bytes, *, tagged: bool) -> int:
    """Return the number of lines in ITU-T T.4 data, each after a mark of eleven zeros and a one.

    ``tagged``: a bit after each mark says how the line is coded. Marks with nothing between are the end.
    """
    ones = np.flatnonzero(np.unpackbits(np.frombuffer(data, np.uint8)))
    marks = np.flatnonzero(np.diff(ones, prepend=-1) > 11)
    between = np.diff(np.append(marks, len(ones))) - 1
    if tagged:
        following = np.append(ones, -1)[marks + 1]
        between = between - (following == ones[marks] + 1)
    return int((between > 0).sum())


def _fax_file(directory: TiffPage, data: bytes, rows: int, columns: int) -> bytes:
    """Return a TIFF of one strip, the unchanged ``data``."""
    tags = {256: columns, 257: rows, 258: 1, 259: directory.compression, 262: 0, 277: 1, 278: rows}
    written = TiffImagePlugin.ImageFileDirectory_v2(prefix=b"II")
    for tag, value in (tags | {273: 0, 279: len(data)}).items():  # the strip follows the directory
        written[tag] = int(value)
    file = io.BytesIO()
    written.save(file)
    return file.getvalue() + data


def _colors(directory: TiffPage, samples: NDArray[Any]) -> tuple[str, Pixels, Pixels | None]:
    """Return mode, colors and alpha; see :class:`Raster`."""
    kind, channels = directory.photometric, CHANNELS[directory.photometric]
    extra = [int(one) for one in directory.extrasamples] or [2]  # an undeclared extra sample is alpha
    place = next((at for at, one in enumerate(extra) if one in (1, 2)), None)
    alpha = None
    if place is not None and samples.shape[2] > channels:
        alpha = _levels(directory, samples[..., channels + place])
    if _is_lab(directory):
        return "RGB", _from_lab(directory, samples[..., :3]), alpha
    if kind == PHOTOMETRIC.PALETTE:
        return "RGB", _from_palette(directory, samples[..., 0]), alpha
    colors = _levels(directory, samples[..., :channels] if channels > 1 else samples[..., 0])
    if kind == PHOTOMETRIC.MINISWHITE:
        colors = np.iinfo(colors.dtype).max - colors
    if kind == PHOTOMETRIC.SEPARATED:
        colors = to_8_bits(colors)
    if kind == PHOTOMETRIC.YCBCR and directory.compression not in JPEGS:
        colors = np.asarray(Image.fromarray(to_8_bits(colors), "YCbCr").convert("RGB"))
    if alpha is not None and extra[place or 0] == 1:
        colors = _divided(colors, alpha)
    return {1: "L", 3: "RGB", 4: "CMYK"}[channels], colors, alpha


def _levels(directory: TiffPage, values: NDArray[Any]) -> Pixels:
    """Return samples as 8-bit levels if they have at most 8 bits, else as 16-bit levels."""
    bits = directory.bitspersample
    if values.dtype.kind == "f":
        if np.isnan(values).any():
            raise PhotoError("some of its values are NaN; save it with 8 or 16 bits")
        # Floats in 0..255 or 0..65535 are refused: nobody can tell which value is white.
        if not np.median(values) <= 1:
            raise PhotoError("floating-point values beyond 0..1; save it with 8 or 16 bits")
        values = values.astype(np.float32)
        light = _rolled_off(np.nan_to_num(values, posinf=np.inf, neginf=0.0).clip(0))
        return (light * 65535 + 0.5).astype(np.uint16)
    if values.dtype.kind == "i":
        raise PhotoError("values with a sign; save it with 8 or 16 bits")
    if bits in (8, 16):
        return np.ascontiguousarray(values)
    if bits > 16:
        return (values >> (bits - 16)).astype(np.uint16)
    top, white = 2**bits - 1, 255 if bits < 8 else 65535
    table = (np.arange(top + 1, dtype=np.uint64) * white + top // 2) // top
    return table.astype(np.uint8 if bits < 8 else np.uint16)[values.astype(np.intp)]


def _rolled_off(light: NDArray[Any]) -> NDArray[Any]:
    """Return light, 0 or more, in 0..1: highlights above 1 are compressed, and brighter ones stay brighter.

    A photo without such highlights stays as it is.
    """
    if not light.size or light.max() <= 1:
        return light
    above = light > KNEE
    over = (light[above] - KNEE) / (1 - KNEE)
    light = light.copy()
    # x / (1 + x): slope 1 at the start, still rising ten stops further up, and 1 at infinity.
    light[above] = 1 - (1 - KNEE) / (1 + over)
    return light


def _from_palette(directory: TiffPage, indices: NDArray[Any]) -> Pixels:
    palette = np.asarray(directory.colormap)
    if palette.max() < 256:  # some programs write 8-bit levels where the standard wants 16
        palette = palette * 257
    return to_8_bits(palette.astype(np.uint16).T)[indices.astype(np.intp)]


def _from_lab(directory: TiffPage, samples: NDArray[Any]) -> Pixels:
    """Return CIE Lab, or ICC's encoding of it, as RGB of 8 or 16 bits (TIFF 6.0, section 23; TechNote 4)."""
    bits = directory.bitspersample
    if samples.dtype.kind == "f":
        lab = samples.astype(np.float32)
    elif bits in (8, 16):
        unit = np.uint8 if bits == 8 else np.uint16
        scale = 1 if bits == 8 else 256
        lab = np.empty(samples.shape, np.float32)
        lab[..., 0] = samples[..., 0].astype(unit).astype(np.float32) * (100 / np.iinfo(unit).max)
        if directory.photometric == PHOTOMETRIC.CIELAB:
            signed = np.int8 if bits == 8 else np.int16
            lab[..., 1:] = samples[..., 1:].astype(unit).astype(signed).astype(np.float32) / scale
        else:
            lab[..., 1:] = samples[..., 1:].astype(np.float32) / scale - 128
    else:
        raise PhotoError(f"a TIFF of Lab in {bits} bits is not supported; save it as RGB of 8 or 16 bits")
    return profiles.lab_to_srgb(lab, dtype=np.uint8 if bits == 8 else np.uint16)


def _divided(colors: Pixels, alpha: Pixels) -> Pixels:
    """Return colors as they were before alpha was multiplied into them."""
    top = np.iinfo(colors.dtype).max
    divided = np.empty_like(colors)
    for row, part in enumerate(alpha.astype(np.uint32)):
        part = part if colors.ndim == 2 else part[:, None]
        whole = colors[row] * np.uint32(top) + part // 2
        divided[row] = np.where(part == 0, colors[row], (whole // np.maximum(part, 1)).clip(0, top))
    return divided


def _metadata(directory: TiffPage, content: bytes) -> tuple[Image.Exif, int, bytes | None]:
    """Return EXIF data, orientation and XMP of a directory."""
    xmp = directory.tags.valueof(700)
    shell = Image.new("L", (1, 1))
    if xmp := xmp.encode() if isinstance(xmp, str) else bytes(xmp) if xmp else None:
        shell.info["xmp"] = xmp
    exif, orientation = Image.Exif(), directory.tags.valueof(274)
    if content[:4] != b"MM\0+":  # which Pillow does not know
        try:
            exif.endian = directory.parent.byteorder
            exif.bigtiff = content[2:3] == b"+"
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # about damage
                exif.load_from_fp(io.BytesIO(content), directory.offset)
        except Exception:  # damaged EXIF data raises anything
            exif = Image.Exif()
    if not isinstance(orientation, int):
        _, orientation = exif_and_orientation(shell)  # XMP's
    return exif, orientation, xmp


def _line(error: Exception) -> str:
    return (str(error) or type(error).__name__).splitlines()[0]
