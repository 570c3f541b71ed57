"""Writing films by PyAV: a part of a film at a time, and the parts joined with sound and texts of the source.

Each part begins with a key frame, so their packets can follow each other; a part is a file in the format NUT
(MOV for ProRes), and the times of its packets are kept beside it. Sound and
subtitles are copied, not encoded again.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from ungray.errors import UngrayError
from ungray.film.formats import CODECS
from ungray.film.sources import BT2020, FilmFile, Source, VideoFormat, address, load_av, open_film

KEY_FRAMES_SECONDS = 10
"""Most seconds between two frames to which a player can jump."""

KEY_FRAMES_APART = 10_000
"""Most frames between two such, whatever rate a film claims."""

AVX512 = 256
"""OpenCV's number of the instructions that x264 asks for before it uses AVX-512 (``cv::CPU_AVX512_SKX``)."""

X264_REPEATABLE = "asm=avx2"
"""For processors with AVX-512: with it x264 reads memory that nothing was written to, and the same frames
become other bytes from run to run. Without, it is as fast (a test fills memory to see)."""

UNSPECIFIED = 2


@dataclass(frozen=True, kw_only=True)
class Encoding:
    """How a film is encoded: ``codec`` is a name of :data:`ungray.film.formats.CODECS`."""

    codec: str
    crf: int | None = None
    b_frames: bool = True
    threads: int = 0


class Part:
    """Encodes frames into one file; see :class:`Encoding`."""

    def __init__(self, path: Path, video: VideoFormat, encoding: Encoding) -> None:
        av = load_av()
        codec = CODECS[encoding.codec]
        self._video = video
        self.packets: list[tuple[int, int]] = []
        """Time and duration of each packet, in the order of coding."""
        self._durations: dict[int, int] = {}
        self._even = encoding.codec in ("h264", "hevc")
        self._file = av.open(address(path), "w", format=codec.part)
        stream = self._file.add_stream(codec.encoder, rate=video.rate)
        context = stream.codec_context
        context.width, context.height = self._size
        context.pix_fmt = _pixel_format(av, codec.encoder, video)
        context.time_base = video.time_base
        context.sample_aspect_ratio = video.pixel_aspect
        context.colorspace = video.matrix
        context.color_range = 2 if video.full_range else 1
        context.color_primaries = _tag(video.primaries, video)
        context.color_trc = _tag(video.transfer, video)
        context.gop_size = max(1, min(round(video.rate * KEY_FRAMES_SECONDS), KEY_FRAMES_APART))
        if not encoding.b_frames:
            context.max_b_frames = 0
        if encoding.threads:
            context.thread_count = encoding.threads
        options = dict(codec.options)
        if codec.encoder == "libx264" and cv2.checkHardwareSupport(AVX512):
            options["x264-params"] = X264_REPEATABLE
        crf = codec.crf if encoding.crf is None else encoding.crf
        if crf is not None and codec.crf is not None:
            options["crf"] = str(crf)
        context.options = options
        self._context, self._stream, self._av = context, stream, av

    @property
    def _size(self) -> tuple[int, int]:
        """Width and height; H.264 and HEVC halve their colors, so an odd side gets one pixel more."""
        width, height = self._video.width, self._video.height
        if self._even and self._video.sampling != "444":
            width, height = width + width % 2, height + height % 2
        return width, height

    def add(self, rgb: NDArray[Any], *, time: int, duration: int) -> None:
        """Encode a frame: sRGB, uint8 or uint16 (height, width, 3)."""
        width, height = self._size
        if rgb.shape[:2] != (height, width):
            below, right = height - rgb.shape[0], width - rgb.shape[1]
            rgb = cv2.copyMakeBorder(rgb, 0, below, 0, right, cv2.BORDER_REPLICATE)
        format = "rgb24" if rgb.dtype == np.uint8 else "rgb48le"
        frame = self._av.VideoFrame.from_ndarray(np.ascontiguousarray(rgb), format=format)
        frame.color_range = 2
        frame = frame.reformat(
            format=self._context.pix_fmt,
            dst_colorspace=self._video.matrix,
            dst_color_range=2 if self._video.full_range else 1,
            threads=1,  # of several, one may write a row's last bytes over the first of the next (swscale)
        )
        frame.pts, frame.time_base, frame.duration = time, self._video.time_base, duration
        frame.colorspace = self._video.matrix
        frame.color_range = 2 if self._video.full_range else 1
        self._durations[time] = duration
        self._write(self._stream.encode(frame))

    def close(self) -> None:
        """Encode what is left and end the file."""
        self._write(self._stream.encode(None))
        self._file.close()

    def abandon(self) -> None:
        """Let go of an unfinished file."""
        with suppress(self._av.FFmpegError):
            self._file.close()

    def _write(self, packets: Sequence[Any]) -> None:
        for packet in packets:
            time = int(packet.pts * packet.time_base / self._video.time_base)
            self.packets.append((time, self._durations.pop(time, 0)))
            self._file.mux(packet)


def _tag(value: int, video: VideoFormat) -> int:
    """Return a film's own tag of primaries or transfer, or the usual one of its matrix."""
    if value != UNSPECIFIED and value != 0:
        return value
    return UNSPECIFIED if video.matrix == BT2020 else video.matrix if video.matrix != 5 else 6


def _pixel_format(av: Any, encoder: str, video: VideoFormat) -> str:
    """Return the pixel format of the output that loses least."""
    known = [format.name for format in av.codec.Codec(encoder, "w").video_formats or []]
    deep = "10le" if video.bits > 8 else ""
    wanted = [f"yuv{video.sampling}p{deep}", f"yuv420p{deep}", f"yuv422p{deep}"]
    wanted += ["yuv420p", "yuv420p10le", "yuv422p10le"]
    return next(name for name in wanted if name in known)


def left_out(source: Source, suffix: str, encoding: Encoding) -> list[str]:
    """Return what a film in the format of ``suffix`` cannot hold of the sound and texts of ``source``.

    Raises:
        UngrayError: it cannot hold the codec, or there is no encoder for it.
    """
    av = load_av()
    try:
        av.codec.Codec(CODECS[encoding.codec].encoder, "w")
    except ValueError:
        name = CODECS[encoding.codec].encoder
        raise UngrayError(
            f"this copy of FFmpeg cannot write {encoding.codec} (no {name}); choose another --codec"
        ) from None
    with _opened(av, suffix) as container:
        try:
            container.add_stream(CODECS[encoding.codec].encoder, rate=source.video.rate)
        except ValueError:
            raise UngrayError(
                f"{suffix[1:].upper()} cannot hold {encoding.codec}; choose another --codec, or -o with the "
                "extension .mkv or .mov"
            ) from None
    if not isinstance(source, FilmFile):
        return []
    with open_film(source.path) as film:
        return [
            _described(stream)
            for stream in film.streams
            if stream.type in ("audio", "subtitle") and not _copies(av, suffix, stream)
        ]


def _copies(av: Any, suffix: str, stream: Any) -> bool:
    """Return whether a stream can be copied into a file of a format."""
    if stream.codec_context is None:
        return False
    with _opened(av, suffix) as container:
        try:
            container.add_stream_from_template(stream, opaque=True)
        except (ValueError, av.FFmpegError):
            return False
    return True


def _described(stream: Any) -> str:
    kind = "sound" if stream.type == "audio" else "subtitles"
    return f"{kind} ({stream.codec_context.name if stream.codec_context else 'unknown'})"


def _opened(av: Any, suffix: str, path: Path = Path("nothing")) -> Any:
    """Return a file to be written, of the format of an extension; nothing is written before its header."""
    names = {".mp4": "mp4", ".m4v": "mp4", ".mov": "mov", ".mkv": "matroska", ".webm": "webm", ".avi": "avi"}
    fast = {"movflags": "+faststart"} if suffix.lower() in (".mp4", ".m4v", ".mov") else {}
    # Bit-exact: no version and no random number, so the same film gives the same bytes.
    return av.open(address(path), "w", format=names[suffix.lower()], options=fast | {"fflags": "+bitexact"})


def join(
    path: Path,
    suffix: str,
    parts: Sequence[Path],
    times: Sequence[tuple[int, int]],
    *,
    source: Source,
    shift: int,
    end: int | None,
) -> None:
    """Join ``parts`` into the film at ``path``, with the sound, texts, chapters and notes of ``source``.

    Args:
        path: written; whatever is there is replaced.
        suffix: the extension that gives its format.
        parts: files of :class:`Part`, in order.
        times: time and duration of each of their packets, in the order of coding.
        source: the film.
        shift: what is taken from all times, so that the output starts at 0 where ``source`` is not used from
            its beginning.
        end: the time at which the output ends; None: with the source.
    """
    av = load_av()
    video = source.video
    with ExitStack() as stack:
        out = stack.enter_context(_opened(av, suffix, path))
        first = stack.enter_context(av.open(address(parts[0])))
        stream = out.add_stream_from_template(first.streams.video[0], opaque=True)
        context = stream.codec_context
        context.framerate = video.rate
        context.colorspace = video.matrix
        context.color_range = 2 if video.full_range else 1
        context.color_primaries, context.color_trc = _tag(video.primaries, video), _tag(video.transfer, video)
        stream.time_base = video.time_base
        flows = [_pictures(av, parts, stream, _decode_times(times), times, video.time_base, shift)]
        if isinstance(source, FilmFile):
            film = stack.enter_context(open_film(source.path))
            flows += _copied(av, film, out, suffix, video, shift, end, source.start)
        out.start_encoding()
        for _, _, packet in heapq.merge(*flows, key=lambda one: one[:2]):
            out.mux_one(packet)


def _pictures(
    av: Any,
    parts: Sequence[Path],
    stream: Any,
    decoded: Sequence[int],
    times: Sequence[tuple[int, int]],
    base: Fraction,
    shift: int,
) -> Iterator[tuple[float, int, Any]]:
    number = 0
    for part in parts:
        with av.open(address(part)) as container:
            for packet in container.demux(video=0):
                if packet.size == 0:
                    continue
                time, duration = times[number]
                packet.stream = stream
                packet.time_base = base
                packet.pts, packet.dts, packet.duration = time - shift, decoded[number] - shift, duration
                yield float(packet.dts * base), 0, packet
                number += 1


def _decode_times(times: Sequence[tuple[int, int]]) -> list[int]:
    """Return the decoding time of each packet: the times in order, begun early enough that none is late."""
    shown = [time for time, _ in times]
    ordered = sorted(shown)
    rank = {time: number for number, time in enumerate(ordered)}
    late = max((number - rank[time] for number, time in enumerate(shown)), default=0)
    step = ordered[1] - ordered[0] if len(ordered) > 1 else 1
    return [ordered[0] - step * (late - number) for number in range(min(late, len(shown)))] + ordered[
        : len(shown) - min(late, len(shown))
    ]


def _copied(
    av: Any, film: Any, out: Any, suffix: str, video: VideoFormat, shift: int, end: int | None, start: int
) -> list[Iterator[tuple[float, int, Any]]]:
    """Add all that the output keeps of the film but its pictures; return its packets."""
    out.metadata.update(
        {
            k: v
            for k, v in film.metadata.items()
            if k not in ("encoder", "major_brand", "minor_version", "compatible_brands", "creation_time")
        }
    )
    begin = float(shift * video.time_base)
    last = None if end is None else float(end * video.time_base)
    chapters = []
    for chapter in film.chapters():
        base = chapter["time_base"]
        if base is None:
            continue
        first, until = chapter["start"] * base, chapter["end"] * base
        if float(until) > begin and (last is None or float(first) < last):
            moved = dict(chapter)
            moved["start"] = max(0, round((float(first) - begin) / base))
            moved["end"] = max(
                moved["start"], round((min(float(until), last or float(until)) - begin) / base)
            )
            chapters.append(moved)
    out.set_chapters(chapters)
    streams = {}
    for stream in film.streams:
        if stream.type in ("audio", "subtitle") and _copies(av, suffix, stream):
            copy = out.add_stream_from_template(stream, opaque=True)
            copy.metadata.update(stream.metadata)
            copy.disposition = stream.disposition
            streams[stream.index] = copy
    if not streams:
        return []

    def packets() -> Iterator[tuple[float, int, Any]]:
        chosen = [film.streams[index] for index in streams]
        number, earliest = 0, dict.fromkeys(streams, -(1 << 62))
        if begin > 0:
            film.seek(int(begin * av.time_base))
        for packet in _undamaged(av, film.demux(chosen)):
            if packet.dts is None or packet.size == 0:
                continue
            base = packet.time_base
            at = float((packet.pts if packet.pts is not None else packet.dts) * base)
            if shift and at < begin - 1e-6:
                continue
            if last is not None and at >= last:
                continue
            moved = round(begin / base)
            packet.pts = None if packet.pts is None else packet.pts - moved
            # Formats want times of decoding that grow; FFmpeg's own program moves those that do not, too.
            packet.dts = max(packet.dts - moved, earliest[packet.stream.index])
            earliest[packet.stream.index] = packet.dts + 1
            if packet.pts is not None:
                packet.pts = max(packet.pts, packet.dts)
            packet.stream = streams[packet.stream.index]
            number += 1
            yield float(packet.dts * base), number, packet

    return [packets()]


def _undamaged(av: Any, packets: Iterator[Any]) -> Iterator[Any]:
    while True:
        try:
            yield next(packets)
        except (StopIteration, av.FFmpegError):
            return
