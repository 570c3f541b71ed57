"""Checks the bodies that hosts send: only complete photos within the size limit are accepted."""

from __future__ import annotations

from functools import partial

from ungray.fetch.responses import FetchError
from ungray.imaging import photos
from ungray.imaging.decoding import Decoder, TooLongError
from ungray.imaging.reading import jpeg


def check_photo(content: bytes, *, max_pixels: int, decoder: Decoder, seconds: float) -> None:
    """Raise FetchError unless ``content`` is a photo of at most ``max_pixels`` that decodes completely.

    ``decoder`` decodes it in another process, within ``seconds``.
    """
    if not content:
        raise FetchError("empty body")
    try:
        decoder.run(partial(decode_whole, max_pixels=max_pixels), content, seconds=seconds)
    except TooLongError:
        raise FetchError("takes too long to decode") from None
    except photos.PhotoError as error:
        raise FetchError(str(error)) from None


def decode_whole(content: bytes, *, max_pixels: int) -> None:
    """Raise PhotoError unless ``content`` is a photo of at most ``max_pixels`` that decodes completely."""
    image_format, width, height = photos.probe(content)
    if width * height > max_pixels:
        raise photos.PhotoError(f"more than {max_pixels / 1e6:g} megapixels")
    if image_format in ("JPEG", "MPO"):
        jpeg.check(content)
    else:
        photos.read_rgb(content)
