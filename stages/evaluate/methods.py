"""What is judged: the model, the base model if there is one, the gray photo, the train photos' mean color."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

from stages.storage.shards import Shards
from ungray import engines
from ungray.colorizer import Colorizer
from ungray.imaging import photo_files, photos
from ungray.imaging.color import Float, Rgb, rgb_to_lab
from ungray.imaging.prediction import predict
from ungray.networks import Model
from ungray.system.progress import Bar

Colorize = Callable[[Rgb], Rgb]
"""Takes a gray photo, returns it in color; both are uint8 sRGB (height, width, 3)."""


def methods(model: Model, *, base: Model | None, mean: Float) -> dict[str, Colorize]:
    """Return each method by its name in :data:`ungray.quality.METHODS`.

    ``mean`` is the mean a and b of the train photos.
    """

    def mean_everywhere(lightness: Float, hints: Float | None = None) -> Float:
        batch, _, height, width = lightness.shape
        return np.broadcast_to(mean[:, None, None], (batch, 2, height, width))

    def mean_color(gray: Rgb) -> Rgb:
        photo = photo_files.from_array(gray)
        return predict([photo], mean_everywhere, working_size=16, multiple=1)[0].render()

    return {
        "model": colorize_with(model),
        **({"base": colorize_with(base)} if base else {}),
        "gray": lambda gray: gray,
        "mean_ab": mean_color,
    }


def colorize_with(model: Model) -> Colorize:
    """Return a function that colors a gray photo to the very pixels that ``colorize`` gives a user."""
    return Colorizer(engines.of_model(model)).colorize


def mean_ab(
    train: pd.DataFrame,
    prepared: Path,
    *,
    shards: Shards | None = None,
    look: Callable[[str, Rgb], None] | None = None,
) -> Float:
    """Return the mean a and b over all pixels of the photos of ``train``, float32 (2,).

    The photos are separate files below ``prepared``, or in ``shards``, one of which is in memory at a time.
    ``look`` is called with each photo's file and pixels, so that they are read once for all.
    """
    if shards is None:
        files = Bar(train["file"], desc="evaluate, mean color", unit="photo")
        means = {file: _mean_ab(file, prepared / file, look) for file in files}
    else:
        names = Bar(sorted(set(train["shard"])), desc="evaluate, mean color", unit="shard")
        wanted = set(train["file"])
        means = {
            file: _mean_ab(file, content, look)
            for name in names
            for file, content in shards.read(name).items()
            if file in wanted
        }
    # In a fixed order, so that files and shards give the same result to the last digit.
    return np.mean([means[file] for file in train["file"]], axis=0).astype(np.float32)


def _mean_ab(file: str, source: Path | bytes, look: Callable[[str, Rgb], None] | None) -> Float:
    rgb = photos.read_rgb(source)
    if look:
        look(file, rgb)
    return rgb_to_lab(rgb)[..., 1:].mean(axis=(0, 1))
