"""Films to color: files that PyAV reads, animated pictures that Pillow reads, and folders of numbered frames.

Each gives its frames upright and in gray, one after another, with their times.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Generator, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ungray.errors import UngrayError
from ungray.film.formats import ANIMATIONS, CONTAINERS, MISSING
from ungray.imaging import photo_files, photos
from ungray.imaging.color import Float, rgb_to_lab
from ungray.imaging.exif import Metadata
from ungray.imaging.photo_files import Photo
from ungray.imaging.reading.formats import SUFFIXES as PHOTOS
from ungray.imaging.upsampling import gray_levels
from ungray.system.limits import MAX_FILM_PIXELS, MAX_PIXELS

if TYPE_CHECKING:
    import av

SAMPLED = 12
"""Number of frames from all over a film in which color is looked for."""

COLORED = 6.0
"""Chroma in Lab units, over which a frame is in color: the 95th percentile of its pixels'
distance from one tint."""

MOST_BROKEN = 100
"""Number of broken packets in a row after which the rest of a film counts as lost."""

BT709, UNSPECIFIED, BT601, BT2020 = 1, 2, 6, 9
"""Numbers of color matrices (ITU-T H.273)."""

FULL_RANGE = 2
"""FFmpeg's number for levels that use all of 0..255."""

LOOKED_AT = 500_000_000
"""Number of pixels of an animation, at most, in which color is looked for: all of them must be decoded."""

HD = 720
"""Height in pixels from which on a film that does not say it has BT.709 colors, not BT.601."""


@dataclass(frozen=True)
class Frame:
    """A frame: its gray photo, and its time and duration in units of the film's ``time_base``."""

    photo: Photo
    time: int
    duration: int


@dataclass(frozen=True, kw_only=True)
class VideoFormat:
    """What the output of a film keeps of it.

    ``matrix``, ``primaries`` and ``transfer`` are numbers of H.273; ``full_range`` is whether levels use all
    of 0..255; ``sampling`` is 420, 422 or 444; ``pixel_aspect`` is that of the upright film.
    """

    width: int
    height: int
    time_base: Fraction
    rate: Fraction
    bits: int = 8
    sampling: str = "420"
    matrix: int = BT709
    primaries: int = UNSPECIFIED
    transfer: int = UNSPECIFIED
    full_range: bool = False
    pixel_aspect: Fraction = field(default=Fraction(1))


class Source(Protocol):
    """A film to color."""

    video: VideoFormat
    path: Path
    broken: int
    """Number of frames, or parts of them, that could not be decoded so far."""

    def frames(self, start: int | None = None) -> Iterator[Frame]:
        """Yield the frames from ``start``, a time, on; None: all."""

    def count(self, start: int | None, end: int | None) -> int:
        """Return about how many frames there are between two times."""

    def in_color(self) -> bool:
        """Return whether the film is in color already; one tint, as sepia, is none."""


def open_source(path: Path, *, rate: Fraction | None = None) -> Source:
    """Return the film at ``path``: a file, or a folder of numbered frames, of which ``rate`` are a second.

    Raises:
        UngrayError: it is no film that can be read, or PyAV is not installed.
    """
    if path.is_dir():
        return FrameFolder(path, rate or Fraction(24))
    if path.suffix.lower() in ANIMATIONS:
        return Animation(path)
    return FilmFile(path)


def load_av() -> Any:
    """Return PyAV.

    Raises:
        UngrayError: it is not installed.
    """
    try:
        import av
    except ImportError:
        raise UngrayError(MISSING) from None
    os.environ.setdefault("SVT_LOG", "1")  # the encoder of AV1 would print more than errors
    return av


def address(path: Path) -> str:
    """Return how FFmpeg opens a file, whatever its name: "12:30.mp4" alone would name a protocol."""
    return f"file:{path}"


def open_film(path: Path) -> av.container.InputContainer:
    """Return a film, opened by PyAV; it is this file alone that is read, whatever is in it.

    Raises:
        FFmpegError: it is no film.
    """
    return load_av().open(
        address(path),
        metadata_errors="replace",
        options={"protocol_whitelist": "file", "format_whitelist": CONTAINERS},
    )


class FilmFile:
    """A film that PyAV reads; see :class:`Source`."""

    def __init__(self, path: Path, *, max_pixels: int | None = None) -> None:
        """Look at the film and decode its first frame; frames may have ``max_pixels``, or as many as any."""
        self.path, self.broken = path, 0
        self._max_pixels = MAX_FILM_PIXELS if max_pixels is None else max_pixels
        self._av = load_av()
        with closing(self._open()) as container:
            stream = self._stream(container)
            first = next(self._decoded(container, stream), None)
            if first is None:
                raise UngrayError(f"{path}: none of its frames can be decoded; it is damaged or empty")
            self.video = _video_format(stream, first)
            self.start = _ticks(stream.start_time, first.pts)
            self._frames = stream.frames
            seconds = container.duration / self._av.time_base if container.duration else 0
            if stream.duration and stream.time_base:
                seconds = float(stream.duration * stream.time_base)
            self.seconds = seconds
            """Its length, as far as the file says it; else 0."""
        self.broken = 0
        self._colors: bool | None = None

    def _open(self) -> av.container.InputContainer:
        try:
            return open_film(self.path)
        except self._av.FFmpegError as error:
            raise UngrayError(f"{self.path}: not a film that can be read ({error.strerror})") from None

    def _stream(self, container: av.container.InputContainer) -> av.VideoStream:
        streams = [
            stream
            for stream in container.streams.video
            if not stream.disposition & self._av.stream.Disposition.attached_pic
        ]
        if not streams:
            raise UngrayError(f"{self.path}: has no pictures, only sound or texts")
        stream = streams[0]
        if stream.codec_context is None:
            raise UngrayError(f"{self.path}: its pictures are in a codec that cannot be read")
        check_size(stream.codec_context.width, stream.codec_context.height, self.path, most=self._max_pixels)
        stream.codec_context.options = {"max_pixels": str(self._max_pixels)}  # a frame may be larger
        stream.thread_type = "AUTO"
        return stream

    def _decoded(
        self, container: av.container.InputContainer, stream: av.VideoStream
    ) -> Iterator[av.VideoFrame]:
        """Yield the frames; what is damaged is counted and passed over."""
        failed = 0
        packets = container.demux(stream)
        while failed < MOST_BROKEN:
            try:
                frames = next(packets).decode()
            except StopIteration:
                return
            except self._av.FFmpegError as error:
                if isinstance(error, self._av.EOFError):
                    return
                failed += 1
                self.broken += 1
                continue
            failed = 0
            for frame in frames:
                if frame.is_corrupt:
                    self.broken += 1
                yield frame

    def frames(self, start: int | None = None) -> Iterator[Frame]:
        """See :class:`Source`."""
        if start is not None:
            found = self._from(start)
            if found is not None:
                yield from found
                return
        for frame in self._frames_from(None):
            if start is None or frame.time >= start:
                yield frame

    def _from(self, start: int) -> Iterator[Frame] | None:
        """Return the frames from ``start`` on, found by seeking; None if the file cannot do that."""
        frames = self._frames_from(start)
        with suppress(self._av.FFmpegError):
            first = next(frames, None)
            if first is not None and first.time <= start:
                return (frame for frame in _chained(first, frames) if frame.time >= start)
        frames.close()
        return None

    def _frames_from(self, start: int | None) -> Generator[Frame, None, None]:
        with closing(self._open()) as container:
            stream = self._stream(container)
            if start is not None:
                container.seek(start, stream=stream, backward=True)
            step = _step(self.video)
            time = self.start - step
            for frame in self._decoded(container, stream):
                ticks = frame.pts if frame.pts is not None else frame.dts
                # Times must grow: a film whose times are missing or go back gets one step after the last.
                time = ticks if ticks is not None and ticks > time else time + step
                yield Frame(self._photo(frame), time, frame.duration or step)

    def _photo(self, frame: av.VideoFrame) -> Photo:
        gray = _rgb_gray(frame, self.video) if self.in_color() else _luma(frame, self.video)
        turns = _turns(frame)
        gray = np.ascontiguousarray(np.rot90(gray, turns)) if turns else gray
        if gray.shape != (self.video.height, self.video.width):  # a stream may change its size
            size = (self.video.width, self.video.height)
            gray = np.asarray(cv2.resize(gray, size, interpolation=cv2.INTER_AREA), np.uint16)
        return Photo(gray, None, Metadata(), self.video.bits, "png")

    def count(self, start: int | None, end: int | None) -> int:
        """See :class:`Source`."""
        total = self._frames or round(self.seconds * self.video.rate)
        length = max(self.seconds, 1e-9)
        base = self.video.time_base
        first = 0 if start is None else max(0, float((start - self.start) * base))
        last = length if end is None else min(length, float((end - self.start) * base))
        return max(1, round(total * max(0, last - first) / length))

    def in_color(self) -> bool:
        """See :class:`Source`."""
        if self._colors is None:
            self._colors = False  # so that frames can be read
            found = [_is_colored(lab) for lab in self._samples()]
            self._colors = sum(found) * 3 > len(found)
        return self._colors

    def _samples(self) -> Iterator[Float]:
        broken = self.broken
        with closing(self._open()) as container:
            stream = self._stream(container)
            stream.codec_context.thread_type = "NONE"
            whole = self.seconds / self.video.time_base
            for number in range(SAMPLED):
                with suppress(self._av.FFmpegError):
                    if number:
                        at = self.start + int(whole * number / SAMPLED)
                        container.seek(at, stream=stream, backward=True)
                    frame = next(self._decoded(container, stream), None)
                    if frame is not None:
                        small = frame.reformat(width=96, height=96, format="rgb24", threads=1)
                        yield rgb_to_lab(small.to_ndarray())
        self.broken = broken


class Animation:
    """An animated GIF or WebP; times are in milliseconds. See :class:`Source`."""

    def __init__(self, path: Path) -> None:
        self.path, self.broken = path, 0
        try:
            with Image.open(path) as image:
                self.video = VideoFormat(
                    width=image.width,
                    height=image.height,
                    time_base=Fraction(1, 1000),
                    rate=Fraction(1000, int(image.info.get("duration", 0)) or 100),
                )
                self._count = int(getattr(image, "n_frames", 1))
                self.loop = image.info.get("loop")
        except Exception as error:  # decoders raise anything for damaged and hostile files
            raise UngrayError(f"{path}: not a film that can be read ({error})") from None
        if image.width * image.height > MAX_PIXELS:
            raise UngrayError(f"{path}: has more than {MAX_PIXELS / 1e6:g} megapixels")

    def _pictures(self) -> Iterator[tuple[Image.Image, int]]:
        with Image.open(self.path) as image:
            for number in range(self._count):
                try:
                    image.seek(number)
                    image.load()
                except Exception:  # cut short, or damaged in any other way
                    self.broken += 1
                    return
                duration = int(image.info.get("duration", 0)) or 100
                yield image.convert("RGBA" if image.has_transparency_data else "RGB"), duration

    def frames(self, start: int | None = None) -> Iterator[Frame]:
        """See :class:`Source`."""
        time = 0
        for image, duration in self._pictures():
            if start is None or time >= start:
                yield Frame(photo_files.from_array(np.asarray(image)), time, duration)
            time += duration

    def count(self, start: int | None, end: int | None) -> int:
        """See :class:`Source`."""
        return self._count

    def in_color(self) -> bool:
        """See :class:`Source`."""
        broken = self.broken
        most = max(1, min(self._count, LOOKED_AT // (self.video.width * self.video.height)))
        every = max(1, most // SAMPLED)
        found = [
            _is_colored(rgb_to_lab(np.asarray(image.convert("RGB").resize((96, 96)))))
            for number, (image, _) in enumerate(islice(self._pictures(), most))
            if number % every == 0
        ]
        self.broken = broken
        return sum(found) * 3 > len(found)


class FrameFolder:
    """A folder of numbered frames; a time is the number of a frame in their order. See :class:`Source`."""

    def __init__(self, path: Path, rate: Fraction) -> None:
        self.path, self.broken = path, 0
        self.files = sorted(
            (file for file in path.iterdir() if file.suffix.lower() in PHOTOS and file.name[0] != "."),
            key=_by_number,
        )
        if not self.files:
            raise UngrayError(f"{path}: no frame in this folder")
        names = Counter(file.stem for file in self.files)
        if twice := [name for name, number in names.items() if number > 1]:
            raise UngrayError(
                f"{path}: there are {names[twice[0]]} frames of the name {twice[0]}, with other extensions; "
                "keep one of each"
            )
        first = self._read_frame(self.files[0])
        self.video = VideoFormat(
            width=first.width, height=first.height, time_base=1 / rate, rate=rate, bits=min(first.bits, 10)
        )

    def frames(self, start: int | None = None) -> Iterator[Frame]:
        """See :class:`Source`."""
        for number, file in enumerate(self.files):
            if start is None or number >= start:
                yield Frame(self._read_frame(file), number, 1)

    def _read_frame(self, file: Path) -> Photo:
        try:
            return photo_files.read_photo(file.read_bytes())
        except UngrayError as error:
            raise UngrayError(f"{file}: {error}") from None

    def count(self, start: int | None, end: int | None) -> int:
        """See :class:`Source`."""
        return len(range(len(self.files))[slice(start, end)])

    def in_color(self) -> bool:
        """See :class:`Source`."""
        found = []
        for file in self.files[:: max(1, len(self.files) // SAMPLED)]:
            try:
                rgb = photos.read_rgb(file)
            except UngrayError as error:
                raise UngrayError(f"{file}: {error}") from None
            small = cv2.resize(rgb, (96, 96), interpolation=cv2.INTER_AREA)
            found.append(_is_colored(rgb_to_lab(np.asarray(small, np.uint8))))
        return sum(found) * 3 > len(found)


def _by_number(path: Path) -> list[Any]:
    """Sort frame9 before frame10."""
    return [int(part) if part.isdecimal() else part for part in re.split(r"(\d+)", path.name)]


def _chained(first: Frame, others: Iterator[Frame]) -> Iterator[Frame]:
    yield first
    yield from others


def _ticks(*values: int | None) -> int:
    return next((value for value in values if value is not None), 0)


def _step(video: VideoFormat) -> int:
    return max(1, round(1 / (video.rate * video.time_base)))


def _video_format(stream: av.VideoStream, frame: av.VideoFrame) -> VideoFormat:
    turned = _turns(frame) % 2 == 1
    width, height = (frame.height, frame.width) if turned else (frame.width, frame.height)
    aspect = stream.sample_aspect_ratio or Fraction(1)
    named = frame.format.name
    matrix = frame.colorspace if frame.colorspace in (BT709, 4, 5, BT601, 7, BT2020) else UNSPECIFIED
    if matrix == UNSPECIFIED:
        matrix = BT709 if frame.height >= HD else BT601
    return VideoFormat(
        width=width,
        height=height,
        time_base=stream.time_base or Fraction(1, 1000),
        rate=stream.average_rate or stream.guessed_rate or Fraction(25),
        bits=10 if frame.format.components[0].bits > 8 else 8,
        sampling=next((some for some in ("444", "422") if some in named), "420"),
        matrix=matrix,
        primaries=int(frame.color_primaries),
        transfer=int(frame.color_trc),
        full_range=frame.color_range == FULL_RANGE or named.startswith("yuvj") or frame.format.is_rgb,
        pixel_aspect=1 / aspect if turned else aspect,
    )


def _turns(frame: av.VideoFrame) -> int:
    """Return by how many quarters of a turn a frame must be turned to be upright, 0 to 3."""
    return round(frame.rotation / 90) % 4


def check_size(width: int, height: int, path: Path, *, most: int | None = None) -> None:
    """Raise UngrayError if a frame has too many pixels: several frames are in memory at a time."""
    most = MAX_FILM_PIXELS if most is None else most
    if width * height > most:
        raise UngrayError(
            f"{path}: frames of {width}x{height} are too large; they may have {most / 1e6:g} megapixels here"
        )


def _luma(frame: av.VideoFrame, video: VideoFormat) -> NDArray[np.uint16]:
    """Return the gray levels in a frame's luma, as levels of the sRGB curve in 0..65535."""
    component = frame.format.components[0]
    name = frame.format.name
    if not name.startswith(("yuv", "gray", "nv", "p0")) or not (frame.format.is_planar or "gray" in name):
        return _rgb_gray(frame, video)
    plane = frame.planes[0]
    deep = component.bits > 8
    if deep and not name.endswith("le"):
        return _rgb_gray(frame, video)
    values = np.frombuffer(plane, np.uint16 if deep else np.uint8)
    values = values.reshape(plane.height, -1)[:, : plane.width]
    # P010 and its like have their bits at the top.
    bits = 16 if name.startswith("p0") else component.bits
    # Gray without a word on its levels uses all of them, as FFmpeg takes it; the output has the usual ones.
    full = video.full_range or (name.startswith("gray") and frame.color_range == 0)
    return _levels(bits, full=full)[values]


def _levels(bits: int, *, full: bool) -> NDArray[np.uint16]:
    """Return the gray level of each luma value: a table."""
    values = np.arange(1 << bits, dtype=np.float64)
    unit = (1 << bits) - 1 if full else 219 << (bits - 8)
    black = 0 if full else 16 << (bits - 8)
    return np.rint(((values - black) / unit).clip(0, 1) * 65535).astype(np.uint16)


def _rgb_gray(frame: av.VideoFrame, video: VideoFormat) -> NDArray[np.uint16]:
    """Return the gray levels of the same lightness as a frame in color."""
    format = "rgb48le" if video.bits > 8 else "rgb24"
    # Of several threads one may write a row's last bytes over the first of the next (swscale).
    matrix = None if frame.format.is_rgb else video.matrix
    rgb = frame.reformat(format=format, src_colorspace=matrix, threads=1)
    return gray_levels(np.ascontiguousarray(rgb.to_ndarray()))


def _is_colored(lab: Float) -> bool:
    """Return whether a frame has more colors than one tint that depends on lightness alone."""
    lightness = lab[..., 0].ravel() / 100
    terms = np.stack([np.ones_like(lightness), lightness, lightness**2], axis=1)
    ab = lab[..., 1:].reshape(-1, 2)
    tint = terms @ np.linalg.lstsq(terms, ab, rcond=None)[0]
    return bool(np.percentile(np.hypot(*(ab - tint).T), 95) > COLORED)
