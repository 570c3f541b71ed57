"""How unlike the train photos each test photo is, and which train photo is most like it.

Two photos are compared by what the encoder of a ``lite_unet`` sees in them in gray: the mean of its features
over all places, from which the mean over the train photos is subtracted. Their unlikeness is 1 minus the
cosine of the two: 0 for the same photo, about 1 for photos with nothing in common, at most 2.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from ungray import engines
from ungray.colorizer import Colorizer
from ungray.imaging import photos
from ungray.imaging.color import Float, Rgb
from ungray.imaging.upsampling import gray_levels, small_copy
from ungray.networks import Model

MOST_TRAIN = 1000
"""Largest number of train photos that are compared; of more, so many are, evenly spread over them."""

SIDE, MULTIPLE = 128, 32
"""Short side in pixels of the copies that the encoder sees, and what both sides are multiples of."""


class Encoder(NamedTuple):
    """What unlikeness was measured by: ``method`` is "base" or "model"."""

    method: str
    train: int
    """Number of train photos."""
    compared: int
    """Number of those that were compared, at most :data:`MOST_TRAIN`."""


class Features:
    """Collects the features of train photos, and compares test photos with them."""

    def __init__(self, network: Model, train: Iterable[str]) -> None:
        """Use the encoder of ``network``, see :func:`with_encoder`, on some of the files ``train``."""
        files = list(train)
        chosen = np.linspace(0, len(files) - 1, min(len(files), MOST_TRAIN)).round().astype(int)
        self._colorizer = Colorizer(engines.of_model(network))
        self._train: dict[str, Float | None] = {files[number]: None for number in chosen}
        self.compared = len(self._train)

    def look(self, file: str, rgb: Rgb) -> None:
        """Take a train photo, unless it is one of those that are left out."""
        if file in self._train:
            self._train[file] = self._of(rgb)

    def compare(self, test: pd.DataFrame, prepared: Path) -> pd.DataFrame:
        """Return ``unlikeness`` and ``nearest``, the file of the train photo, for each file of ``test``."""
        seen = {file: features for file, features in self._train.items() if features is not None}
        files, known = list(seen), np.stack(list(seen.values()))
        mean = known.mean(axis=0)
        ours = np.stack([self._of(photos.read_rgb(prepared / file)) for file in test["file"]])
        cosine = _unit(ours - mean) @ _unit(known - mean).T
        return pd.DataFrame(
            {
                "unlikeness": 1 - cosine.max(axis=1),
                "nearest": [files[number] for number in cosine.argmax(axis=1)],
            },
            index=pd.Index(test["file"], name="file"),
        )

    def _of(self, rgb: Rgb) -> Float:
        lightness = small_copy(gray_levels(rgb), short_side=SIDE, multiple=MULTIPLE)
        return np.asarray(self._colorizer.features(lightness).mean(axis=(1, 2)), np.float32)


def with_encoder(models: Mapping[str, Model | None]) -> tuple[str, Model] | None:
    """Return the first of ``models`` whose encoder has features, with its name; None if there is none."""
    return next(
        ((name, model) for name, model in models.items() if model and model.network.feature_channels), None
    )


def _unit(vectors: Float) -> Float:
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True).clip(1e-12)
