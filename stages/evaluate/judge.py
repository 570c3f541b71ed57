"""Judges every test photo: each method's coloring of its gray version, compared with the truth."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from stages.evaluate.methods import Colorize
from ungray.imaging import metrics, photos
from ungray.imaging.color import Rgb, rgb_to_lab
from ungray.imaging.upsampling import gray_photo
from ungray.networks.base import Network
from ungray.system.progress import Bar


@dataclass(frozen=True)
class Judgment:
    """The results of judging.

    ``photos`` has one row per test photo and method: file, query, group, method, the metrics of
    :func:`ungray.imaging.metrics.judge`, and for the model raw_l1 and raw_mse. ``histograms`` holds the ab
    histogram over all test photos of each method and of the truth, as shares that sum to 1.
    """

    photos: pd.DataFrame
    histograms: dict[str, NDArray[np.float64]]


def judge(
    methods: Mapping[str, Colorize], network: Network, *, test: pd.DataFrame, prepared: Path
) -> Judgment:
    """Judge ``methods`` on the photos of ``test``, rows of index.csv, one photo in memory at a time."""
    rows, sums = [], {name: np.zeros(()) for name in (*methods, "truth")}
    for row in Bar(test.itertuples(), total=len(test), desc="evaluate", unit="photo"):
        truth = photos.read_rgb(prepared / str(row.file))
        gray, true_lab = gray_photo(truth), rgb_to_lab(truth)
        raw = raw_errors(network, truth)
        sums["truth"] = sums["truth"] + metrics.ab_histogram(true_lab)
        for method, colorize in methods.items():
            colored = colorize(gray)
            about = {"file": row.file, "query": row.query, "group": row.group, "method": method}
            rows.append(about | metrics.judge(colored, truth) | (raw if method == "model" else {}))
            sums[method] = sums[method] + metrics.ab_histogram(rgb_to_lab(colored))
    return Judgment(pd.DataFrame(rows), {name: total / len(test) for name, total in sums.items()})


@torch.inference_mode()
def raw_errors(network: Network, truth: Rgb) -> dict[str, float]:
    """Return L1 and MSE of the network's own RGB, in 0..1, at its working size, as earlier work reports."""
    side = network.working_size
    small = cv2.resize(truth, (side, side), interpolation=cv2.INTER_AREA)
    rgb = torch.from_numpy(small).permute(2, 0, 1)[None].float() / 255
    error = network.raw_rgb(rgb) - rgb
    return {"raw_l1": error.abs().mean().item(), "raw_mse": error.square().mean().item()}
