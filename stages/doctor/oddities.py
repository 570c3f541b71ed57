"""What is odd about the data or a rehearsal of the training, one sentence each."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd

from stages.doctor.cost import Cost
from stages.doctor.range_test import RangeTest
from stages.doctor.rehearsal import ByHeart
from stages.train.data import Pixels
from stages.train.params import Params
from ungray.imaging.color import chroma, rgb_to_lab

GRAY_CHROMA = 6.0
"""A photo whose 95th percentile of Lab chroma is lower is almost surely gray, as in filter.min_chroma_p95."""

GRAY_SHARE = 0.2
"""From this share of gray photos it is odd."""

CAST = 0.8
"""From this length of the mean ab vector, over the mean chroma, all photos lean to one color."""

CAST_CHROMA = 8.0
"""A shorter mean ab vector, in Lab units, is too pale for a cast."""

LEAST_FALL = 0.1
"""A network that learns takes more than this share off the loss of photos that it learns by heart."""

FAR = 10.0
"""A learning rate that differs from the proposal by a larger factor is named."""


def without_color(pixels: Pixels) -> str:
    """Return why ``pixels``, uint8 RGB (photos, size, size, 3), teach nothing, or an empty text."""
    if _gray_photos(pixels) < len(pixels):
        return ""
    return f"all {len(pixels)} train photos looked at are gray: there is no color to learn; take other photos"


def of_data(pixels: Pixels) -> list[str]:
    """Return what is odd about the colors of ``pixels``, uint8 RGB (photos, size, size, 3)."""
    said = []
    if (gray := _gray_photos(pixels)) >= GRAY_SHARE * len(pixels):
        said.append(f"{gray} of {len(pixels)} train photos looked at are gray; raise filter.min_chroma_p95")
    labs = [rgb_to_lab(photo) for photo in pixels]
    mean = np.mean([lab[..., 1:].mean(axis=(0, 1)) for lab in labs], axis=0)
    if float(np.hypot(*mean)) > max(CAST_CHROMA, CAST * float(np.mean([chroma(lab).mean() for lab in labs]))):
        said.append(
            f"the train photos looked at have one color cast (mean a {mean[0]:+.0f}, b {mean[1]:+.0f}), as "
            "toned prints or a wrong white balance have: the network would learn the cast"
        )
    return said


def _gray_photos(pixels: Pixels) -> int:
    return sum(float(np.percentile(chroma(rgb_to_lab(photo)), 95)) < GRAY_CHROMA for photo in pixels)


def of_index(index: pd.DataFrame, *, min_groups: int) -> list[str]:
    """Return what is odd about data/prepared/index.csv; ``min_groups`` is ``evaluate.min_groups``."""
    originals = index[index["copy"] == 0]
    train, test = (originals[originals["split"] == split] for split in ("train", "test"))
    said = []
    groups = train["group"].nunique()
    twice = int(train["digest"].duplicated().sum())
    if twice:
        said.append(f"{twice} of {len(train)} train photos are exact duplicates of others")
    elif 2 * groups < len(train):
        said.append(
            f"the groups of {len(train)} train photos, copies or crops of one another, number {groups}: "
            "such photos teach less than as many different ones"
        )
    both = len(set(train["digest"]) & set(test["digest"]))
    if both:
        said.append(f"{both} of {len(train)} train photos are in test too: results would be too good")
    if (count := test["group"].nunique()) < min_groups:
        said.append(
            f"test has {count} groups of photos, fewer than evaluate.min_groups = {min_groups}: "
            'the verdict will be "too few photos to tell"'
        )
    return said


def of_training(params: Params, found: RangeTest, learned: ByHeart) -> list[str]:
    """Return what is odd about the rehearsal; see :func:`pointless` for what makes a training pointless."""
    wrong = pointless(learned)
    return [wrong] if wrong else [sentence for sentence in [_rate(params, found)] if sentence]


def pointless(learned: ByHeart) -> str:
    """Return why a training can't work, or an empty text."""
    if not math.isfinite(learned.fall):
        step = next(n for n, loss in enumerate(learned.losses, start=1) if not math.isfinite(loss))
        return (
            f"the loss is {learned.losses[step - 1]} at step {step} of learning {len(learned.colored)} "
            "photos by heart: lower train.lr, set train.clip_norm to 1.0, or set machine.precision to fp32"
        )
    if learned.fall < LEAST_FALL:
        return (
            f"the loss is not falling: on {len(learned.colored)} photos that the network should learn by "
            f"heart, it went from {learned.losses[0]:.4f} to {learned.losses[-1]:.4f} in "
            f"{len(learned.losses)} steps"
        )
    return ""


def _rate(params: Params, found: RangeTest) -> str:
    if found.proposal is None:
        return ""
    ratio = params.lr / found.proposal
    if ratio > FAR:
        times = f"{ratio:.0f} times the proposed {found.proposal:g}"
        return f"train.lr = {params.lr:g} is {times}: the loss may explode"
    if ratio < 1 / FAR and params.start_from == "nothing":
        return (
            f"train.lr = {params.lr:g} is {1 / ratio:.0f} times lower than the proposed {found.proposal:g}: "
            "from nothing, training would hardly begin within its epochs"
        )
    return ""


def of_memory(params: Params, cost: Cost) -> list[str]:
    """Return what is odd about the memory that a batch takes."""
    if cost.fits:
        return []
    return [
        f"a batch of train.batch_size = {params.batch_size} does not fit into memory; "
        f"at most about {cost.largest_batch or cost.measured_batch} photos do"
    ]
