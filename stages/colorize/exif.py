"""EXIF data carried from a photo to its coloured copy."""

from __future__ import annotations

from typing import Any

from PIL import ExifTags, Image

Base, Ifd = ExifTags.Base, ExifTags.IFD

ABOUT = {
    *(Base.DocumentName, Base.ImageDescription, Base.Make, Base.Model, Base.Software, Base.DateTime),
    *(Base.Artist, Base.HostComputer, Base.Copyright, Base.XResolution, Base.YResolution),
    Base.ResolutionUnit,
}
"""Tags up to :data:`LAYOUT` that say what a photo is."""

LAYOUT = 0x0214
"""The other tags up to here say how the pixels of a TIFF lie; those of the copy are its own."""

BESIDE = {0x02BC, 0x83BB, 0x8649, 0x8773, 0x935C, Ifd.Exif, Ifd.GPSInfo}
"""Tags with data of other kinds: XMP, IPTC, Photoshop's, the colour profile; and directories."""

MOST = 64_000
"""Bytes that a JPEG has room for."""


def orientation(image: Image.Image) -> int:
    """Return which way up a photo is, 1 to 8; 1 is upright, or nothing is said."""
    try:
        return int(image.getexif().get(Base.Orientation, 1))
    except Exception:  # damaged EXIF data raises anything
        return 1


def read(image: Image.Image) -> bytes | None:
    """Return the EXIF data of a decoded photo, for its upright copy in sRGB; None where there is none.

    The orientation is 1 and the size that of the upright photo; the thumbnail is left out, since it shows the
    photo as it was; so is what cannot be read, and the camera maker's note where all is too long for a JPEG.
    """
    try:
        exif = image.getexif()
        found = {
            tag: value
            for tag, value in exif.items()
            if tag not in BESIDE and (tag in ABOUT or tag > LAYOUT) and tag != Ifd.IFD1
        }
        taken, place = dict(exif.get_ifd(Ifd.Exif)), dict(exif.get_ifd(Ifd.GPSInfo))
        turned = orientation(image) > 4
    except Exception:  # see orientation
        return None
    if not (found or taken or place or Base.Orientation in exif):
        return None
    width, height = image.size[::-1] if turned else image.size
    now = {Base.ExifImageWidth: width, Base.ExifImageHeight: height, Base.ColorSpace: 1}
    taken |= {tag: value for tag, value in now.items() if tag in taken}
    taken.pop(Ifd.Interop, None)  # says whether colours are those of sRGB or Adobe RGB
    content = _write(found, taken, place)
    return content if len(content) <= MOST else _write(found, taken | {Ifd.MakerNote: b""}, place)


def as_bytes(value: Any) -> Any:
    """Return a text as the bytes it was read from: Pillow reads any, but writes no other than ASCII."""
    beyond = isinstance(value, str) and not value.isascii()
    return value.encode("latin-1", "replace") if beyond else value


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
    return exif.tobytes()


def _writable(tag: int, value: Any) -> bool:
    exif = Image.Exif()
    exif[tag] = value
    try:
        return len(exif.tobytes()) <= MOST
    except Exception:  # a value of another type than the tag's
        return False
