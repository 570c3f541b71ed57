"""The kinds of photo files that are read, and how each is recognized: by its first bytes, or by its name."""

from __future__ import annotations

from ungray.errors import UngrayError
from ungray.system.limits import MAX_PIXELS

FORMATS = {
    "JPEG": "jpg",
    "MPO": "jpg",
    "PNG": "png",
    "WEBP": "webp",
    "TIFF": "tif",
    "BMP": "bmp",
    "GIF": "gif",
    "AVIF": "avif",
    "HEIF": "heic",
    "JPEG2000": "jp2",
    "JXL": "jxl",
    "PSD": "psd",
    "RAW": "raw",
}
"""The formats that are read, by Pillow's name (RAW: any camera's), and the file extension of each."""

NAMES = "JPEG, PNG, WebP, TIFF, BMP, GIF, AVIF, HEIC, JPEG 2000, JPEG XL, PSD"
"""The formats that are read, as text for people; camera files are read, too, if rawpy is installed."""

# fmt: off
RAW_SUFFIXES = frozenset({
    ".3fr", ".arw", ".cr2", ".cr3", ".crw", ".dcr", ".dng", ".erf", ".fff", ".iiq", ".kdc", ".mef", ".mos",
    ".mrw", ".nef", ".nrw", ".orf", ".pef", ".raf", ".raw", ".rw2", ".rwl", ".sr2", ".srf", ".srw", ".x3f",
})
"""Extensions of camera files."""

SUFFIXES = RAW_SUFFIXES | {
    ".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".png", ".webp", ".tif", ".tiff", ".bmp", ".gif", ".avif",
    ".avifs", ".heic", ".heif", ".hif", ".jp2", ".j2k", ".jpx", ".j2c", ".jpf", ".jxl", ".psd",
}
"""Extensions by which photos are found in folders and by patterns."""
# fmt: on

TIFF_HEADS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
"""The first bytes of a TIFF; those with a plus are BigTIFF."""

_HEADS = {
    b"\xff\xd8\xff": "JPEG",
    b"\x89PNG\r\n\x1a\n": "PNG",
    b"BM": "BMP",
    b"GIF87a": "GIF",
    b"GIF89a": "GIF",
    b"\0\0\0\x0cjP  \r\n\x87\n": "JPEG2000",
    b"\xff\x4f\xff\x51": "JPEG2000",
    b"\xff\x0a": "JXL",
    b"\0\0\0\x0cJXL \r\n\x87\n": "JXL",
    b"8BPS": "PSD",
    b"FUJIFILMCCD-RAW": "RAW",
    b"FOVb": "RAW",
    b"IIU\0": "RAW",  # Panasonic
    b"IIRO": "RAW",  # Olympus
    b"IIRS": "RAW",
    b"MMOR": "RAW",
    b"\0MRM": "RAW",  # Minolta
    b"II\x1a\0\0\0HEAPCCDR": "RAW",  # older Canon
    **dict.fromkeys(TIFF_HEADS, "TIFF"),
}

_HEIF_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")


class PhotoError(UngrayError):
    """A file that cannot be read as a photograph; the message says why in a few words."""


def format_of(content: bytes) -> str | None:
    """Return the format of a file by its first bytes, a key of :data:`FORMATS`; None if it is another.

    A camera file that begins like a TIFF counts as a TIFF here.
    """
    if content[:4] == b"RIFF" and content[8:12] == b"WEBP":
        return "WEBP"
    if content[4:8] == b"ftyp":
        brands = [content[8:12], *(content[at : at + 4] for at in range(16, min(content[3], 128), 4))]
        if content[8:12] == b"crx ":  # Canon
            return "RAW"
        if any(brand in (b"avif", b"avis") for brand in brands):
            return "AVIF"
        return "HEIF" if any(brand in _HEIF_BRANDS for brand in brands) else None
    return next((name for head, name in _HEADS.items() if content.startswith(head)), None)


def damaged(error: Exception) -> PhotoError:
    """Return the error to raise for a photo whose decoder raised ``error``."""
    if isinstance(error, MemoryError):
        return PhotoError("needs more memory than is available")
    return PhotoError(f"damaged: {(str(error) or type(error).__name__).splitlines()[0]}")


def check_pixels(width: int, height: int) -> None:
    """Raise PhotoError if a photo of that size has no pixels or too many."""
    if width * height > MAX_PIXELS:
        raise PhotoError(f"more than {MAX_PIXELS / 1e6:.0f} megapixels")
    if width < 1 or height < 1:
        raise PhotoError("damaged: a photo without pixels")
