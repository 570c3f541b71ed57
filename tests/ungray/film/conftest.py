"""Tiny films, made anew: a window that moves over a photo of a cat."""

from fractions import Fraction

import av
import numpy as np
import pytest
from skimage import data

FRAMES = 12


def pictures(frames=FRAMES, width=96, height=64, *, gray=True, still=False):
    """The frames of a film, uint8 RGB."""
    cat = data.chelsea()
    for number in range(frames):
        at = 0 if still else number
        rgb = cat[40 + at : 40 + at + 2 * height : 2, 60 + 3 * at : 60 + 3 * at + 2 * width : 2]
        if gray:
            rgb = np.repeat(rgb.mean(axis=-1, keepdims=True), 3, axis=-1)
        yield np.ascontiguousarray(rgb.astype(np.uint8))


def write_film(
    path,
    frames,
    *,
    codec="libx264",
    format="yuv420p",
    rotation=0,
    sound=True,
    times=None,
    aspect=None,
    tags=None,
    metadata=None,
):
    """Write ``frames`` at 25 a second, or at ``times`` in milliseconds, with a tone where ``sound``."""
    frames = list(frames)
    base = Fraction(1, 1000)
    with av.open(str(path), "w") as out:
        out.metadata.update(metadata or {})
        stream = out.add_stream(codec, rate=25)
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt = format
        stream.time_base = stream.codec_context.time_base = base
        if codec == "libx265":
            stream.codec_context.options = {"x265-params": "log-level=none"}
        if aspect:
            stream.codec_context.sample_aspect_ratio = aspect
        for name, value in (tags or {}).items():
            setattr(stream.codec_context, name, value)
        if rotation:
            stream.set_display_rotation(rotation)
        tone = out.add_stream("aac", rate=44100, layout="mono") if sound else None
        for number, rgb in enumerate(frames):
            picture = av.VideoFrame.from_ndarray(rgb, format="rgb24").reformat(format=format)
            picture.pts, picture.time_base = (times[number] if times else 40 * number), base
            out.mux(stream.encode(picture))
            if tone:
                wave = 0.3 * np.sin(np.arange(1764 * number, 1764 * (number + 1)) / 20)
                samples = av.AudioFrame.from_ndarray(
                    wave.astype(np.float32)[None], format="fltp", layout="mono"
                )
                samples.sample_rate, samples.pts = 44100, 1764 * number
                samples.time_base = Fraction(1, 44100)
                out.mux(tone.encode(samples))
        out.mux(stream.encode(None))
        if tone:
            out.mux(tone.encode(None))


def read_film(path):
    """The frames of a film, uint8 RGB, and their times in seconds."""
    with av.open(str(path)) as film:
        found = list(film.decode(video=0))
    return [frame.to_ndarray(format="rgb24") for frame in found], [float(frame.time) for frame in found]


@pytest.fixture
def film(tmp_path):
    """The path of a gray film with sound."""
    path = tmp_path / "film.mp4"
    write_film(path, pictures())
    return path
