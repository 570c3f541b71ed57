"""Metadata of a photo, carried to its colored copy: EXIF data, XMP and resolution."""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass
from typing import Any

from PIL import ExifTags, Image, TiffTags

from ungray.imaging import xmp

Base, Ifd = ExifTags.Base, ExifTags.IFD

ABOUT = {
    *(Base.DocumentName, Base.ImageDescription, Base.Make, Base.Model, Base.Software, Base.DateTime),
    *(Base.Artist, Base.HostComputer, Base.Copyright, Base.XResolution, Base.YResolution),
    *(Base.ResolutionUnit, Base.Orientation),
}
"""Tags up to :data:`LAYOUT` that say what a photo is."""

LAYOUT = 0x0214
"""The other tags up to this one describe the pixel layout of a TIFF; the copy has its own."""

BESIDE = {0x02BC, 0x83BB, 0x8649, 0x8773, 0x935C, Ifd.Exif, Ifd.GPSInfo}
"""Tags with data of other kinds: XMP, IPTC, Photoshop's, the color profile; and directories."""

UNDEFINED: dict[int, set[int]] = {
    Ifd.Exif: {0x8828, 0x9000, 0x9101, 0x927C, 0x9286, 0xA000, 0xA20C, 0xA300, 0xA301, 0xA302, 0xA40B, 0xA462}
    | {0xEA1C},
    Ifd.GPSInfo: {0x001B, 0x001C},
}
"""Tags of arbitrary bytes, which Pillow would write as numbers (EXIF 2.32, 4.6.5 and 4.6.6; and padding)."""

SIGNED = {0x9201, 0x9203, 0x9204}
"""Tags of signed fractions, which Pillow would write as unsigned: shutter, brightness, exposure bias."""


@dataclass(frozen=True)
class Metadata:
    """The metadata of a photo.

    ``exif`` is as written into a file, upright and without a thumbnail; ``xmp`` is a packet in UTF-8; ``dpi``
    is in pixels per inch, horizontal and vertical.
    """

    exif: bytes | None = None
    xmp: bytes | None = None
    dpi: tuple[float, float] | None = None


def for_copy(
    exif: Image.Exif,
    *,
    size: tuple[int, int],
    turned: bool = False,
    dpi: tuple[Any, Any] | None = None,
    xmp_packet: bytes | None = None,
) -> Metadata:
    """Return the metadata of a photo for its upright copy in sRGB.

    In the EXIF data, the orientation is 1 and the size that of the upright photo. The thumbnail is left out,
    since it shows the original; so is what cannot be read, and the camera's maker note if all together is too
    long for a JPEG. The resolution comes from the file's own header, or else from EXIF, and is written to
    both.

    Args:
        exif: as in the file; damaged parts are left out.
        size: width and height of the upright photo.
        turned: whether the photo was stored lying on its side.
        dpi: pixels per inch, from the file's own header.
        xmp_packet: as in the file.
    """
    try:
        found, taken, place = _directories(exif)
    except Exception:  # damaged EXIF data raises anything
        found, taken, place = {}, {}, {}
    across, down = Base.XResolution, Base.YResolution
    if turned and {across, down} <= found.keys():
        found |= {across: found[down], down: found[across]}
    own = _dpi(*dpi, unit=2) if dpi else None
    dpi = own[::-1] if own and turned else own
    if dpi and not {across, down} <= found.keys():
        found |= {across: dpi[0], down: dpi[1], Base.ResolutionUnit: 2}
    dpi = dpi or _dpi(found.get(across), found.get(down), unit=found.get(Base.ResolutionUnit, 2))
    packet = xmp.for_copy(xmp_packet)
    if not (found or taken or place):
        return Metadata(None, packet, dpi)
    now = {Base.ExifImageWidth: size[0], Base.ExifImageHeight: size[1], Base.ColorSpace: 1}
    taken |= {tag: value for tag, value in now.items() if tag in taken}
    taken.pop(Ifd.Interop, None)  # says whether colors are those of sRGB or Adobe RGB
    written = _write(found, taken, place)
    if len(written) > xmp.MOST:
        written = _write(found, taken | {Ifd.MakerNote: b""}, place)
    return Metadata(written, packet, dpi)


def with_types(written: bytes, start: int, *, order: str = "<") -> bytes:
    """Return a directory by Pillow with the types that the standard gives to EXIF tags.

    ``start`` is the position of the bytes in their file, to which offsets refer; ``order`` is the byte order,
    < or >.
    """
    content = bytearray(written)
    directories = [(0, 0)]
    for directory, at in directories:
        (count,) = struct.unpack_from(f"{order}H", content, at)
        for entry in range(at + 2, at + 2 + 12 * count, 12):
            tag, kind = struct.unpack_from(f"{order}2H", content, entry)
            if tag in UNDEFINED and not directory:
                directories.append((tag, struct.unpack_from(f"{order}I", content, entry + 8)[0] - start))
            if kind == TiffTags.BYTE and tag in UNDEFINED.get(directory, ()):
                struct.pack_into(f"{order}H", content, entry + 2, TiffTags.UNDEFINED)
            if kind == TiffTags.RATIONAL and directory == Ifd.Exif and tag in SIGNED:
                struct.pack_into(f"{order}H", content, entry + 2, TiffTags.SIGNED_RATIONAL)
    return bytes(content)


def as_bytes(value: Any) -> Any:
    """Return a text as the bytes it was read from: Pillow reads any text, but writes only ASCII."""
    beyond = isinstance(value, str) and not value.isascii()
    return value.encode("latin-1", "replace") if beyond else value


def _directories(exif: Image.Exif) -> tuple[dict[int, Any], dict[int, Any], dict[int, Any]]:
    """Return the EXIF tags of a photo that its copy keeps: about the photo, how it was taken, and where."""
    found = {
        tag: value
        for tag, value in exif.items()
        if tag not in BESIDE and (tag in ABOUT or tag > LAYOUT) and tag != Ifd.IFD1
    }
    return found, dict(exif.get_ifd(Ifd.Exif)), dict(exif.get_ifd(Ifd.GPSInfo))


def _dpi(across: Any, down: Any, *, unit: Any) -> tuple[float, float] | None:
    """Return a resolution per inch (``unit`` 2) or centimeter (3) in pixels per inch; None if it is
    invalid."""
    if unit not in (2, 3):
        return None
    try:
        # A PNG's header counts per meter, which turns 300 into 299.9994.
        across, down = (round(float(value) * (2.54 if unit == 3 else 1), 2) for value in (across, down))
    except (TypeError, ValueError, ArithmeticError):
        return None
    return (across, down) if all(math.isfinite(v) and 0 < v < 65535 for v in (across, down)) else None


def _write(found: dict[int, Any], taken: dict[int, Any], place: dict[int, Any]) -> bytes:
    found = {tag: as_bytes(value) for tag, value in found.items()}
    exif = Image.Exif()
    for tag, value in (found | {Base.Orientation: 1}).items():
        if _writable(tag, value):
            exif[tag] = value
    for directory, values in ((Ifd.Exif, taken), (Ifd.GPSInfo, place)):
        kept = {tag: value for tag, value in values.items() if value != b"" and _writable(tag, value)}
        if kept:
            exif[directory] = kept
    written = exif.tobytes().removeprefix(b"Exif\0\0")
    return b"Exif\0\0" + written[:8] + with_types(written[8:], 8, order="<" if written[:2] == b"II" else ">")


def _writable(tag: int, value: Any) -> bool:
    exif = Image.Exif()
    exif[tag] = value
    try:
        return len(exif.tobytes()) <= xmp.MOST
    except Exception:  # a value whose type is not the tag's
        return False
