"""The kinds of films that are read, and those that are written. It imports nothing heavy."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from ungray.system.files import shortened

OUTPUTS = {
    ".mp4": "h264",
    ".m4v": "h264",
    ".mov": "h264",
    ".mkv": "h264",
    ".avi": "h264",
    ".webm": "vp9",
}
"""The extensions of films that are written, and the codec of each."""

OTHERS = (".mpg", ".mpeg", ".ts", ".m2ts", ".mts", ".vob", ".wmv", ".flv", ".ogv", ".3gp", ".dv", ".mxf")
"""Further extensions that are read; the output is an MKV, which holds whatever sound they have."""

FILMS = (*OUTPUTS, *OTHERS)

CONTAINERS = "mov,matroska,avi,mpeg,mpegts,mpegvideo,h264,hevc,asf,flv,ogg,dv,mxf,nut"
"""FFmpeg's names of the formats that are read, whatever a file's extension is.

Lists of other files (HLS, concat, DASH) are none of them."""

ANIMATIONS = (".gif", ".webp")
"""Pictures that may be animated; they keep their format."""

MISSING = "films need PyAV, which is not installed: pip install 'ungray[film]'"


@dataclass(frozen=True)
class Codec:
    """How a codec is used: FFmpeg's encoder, its options, and the default of ``--crf`` with its range."""

    encoder: str
    crf: int | None
    highest: int = 51
    options: dict[str, str] = field(default_factory=dict)
    part: str = "nut"
    """FFmpeg's name of the format of a part; NUT keeps any times, but cannot hold every codec."""


CODECS = {
    "h264": Codec("libx264", 18, options={"preset": "medium"}),
    "hevc": Codec("libx265", 20, options={"preset": "medium", "x265-params": "log-level=none"}),
    "vp9": Codec(
        "libvpx-vp9", 24, 63, options={"b": "0", "deadline": "good", "cpu-used": "4", "row-mt": "1"}
    ),
    "av1": Codec("libsvtav1", 26, 63, options={"preset": "8"}),
    "prores": Codec("prores_ks", None, part="mov"),
    "ffv1": Codec("ffv1", None, options={"level": "3", "slices": "4"}),
}
"""Codecs by the name that ``--codec`` takes."""


def is_animation(path: Path) -> bool:
    """Return whether a file is a GIF or WebP of several pictures."""
    if path.suffix.lower() not in ANIMATIONS:
        return False
    from PIL import Image

    try:
        with Image.open(path) as image:
            return bool(getattr(image, "is_animated", False))
    except Exception:  # no picture; coloring it as a photo says so
        return False


def is_unfinished(output: Path) -> bool:
    """Return whether a film was begun and not yet ended."""
    return unfinished(output).is_dir()


def unfinished(output: Path) -> Path:
    """Return the folder in which what is done of a film is kept until it is whole."""
    return output.with_name(f".{shortened(output.name)}.parts")
