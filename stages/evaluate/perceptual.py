"""FID and LPIPS, which are optional: their libraries download the weights of their networks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from http.client import HTTPException
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from stages.evaluate.methods import Colorize
from stages.evaluate.params import Params
from ungray.errors import UngrayError
from ungray.imaging import photos
from ungray.imaging.upsampling import gray_photo
from ungray.system.progress import Bar

Pair = tuple[Tensor, Tensor]
"""A colored photo and its truth, uint8 RGB (1, 3, height, width)."""

Measure = Callable[[Iterator[Pair]], float]
"""Takes pairs of colored photo and truth, returns one number."""


def load(params: Params, *, photos: int) -> dict[str, Measure]:
    """Return fid and lpips, if ``params`` asks for them; ``photos`` is the number of photos to judge.

    FID compares two distributions of photos (Heusel et al. 2017; torchmetrics over torch-fidelity's
    Inception, 2,048 features): under some thousand photos it says little. LPIPS compares each photo with its
    truth (Zhang et al. 2018; torchmetrics over torchvision's AlexNet).

    Raises:
        UngrayError: the package or its weights are not available, or FID has fewer than two photos.
    """
    if params.fid and photos < 2:
        raise UngrayError("evaluate.fid needs at least two test photos; set it to false, or add photos")
    wanted = {"fid": (params.fid, _inception), "lpips": (params.lpips, _alex)}
    return {name: _had(name, load) for name, (asked, load) in wanted.items() if asked}


def figure(measure: Measure, colorize: Colorize, test: pd.DataFrame, prepared: Path) -> float:
    """Return ``measure`` of the colorings by ``colorize`` of the photos of ``test``, to five digits."""
    return float(f"{measure(_pairs(colorize, test, prepared)):.5g}")


def fid(feature: nn.Module, pairs: Iterator[Pair]) -> float:
    """Return the Frechet distance between the features of colored photos and of their truths.

    Args:
        feature: takes uint8 RGB (batch, 3, height, width), returns (batch, features).
        pairs: colored photo and truth, uint8 RGB (1, 3, height, width).
    """
    from torchmetrics.image.fid import FrechetInceptionDistance

    metric = FrechetInceptionDistance(feature=feature)
    for made, truth in pairs:
        metric.update(made, real=False)
        metric.update(truth, real=True)
    return float(metric.compute())


def _pairs(colorize: Colorize, test: pd.DataFrame, prepared: Path) -> Iterator[Pair]:
    for file in Bar(test["file"], desc="evaluate, FID or LPIPS", unit="photo"):
        truth = photos.read_rgb(prepared / str(file))
        yield _batch(colorize(gray_photo(truth))), _batch(truth)


def _batch(rgb: NDArray[np.uint8]) -> Tensor:
    return torch.tensor(rgb).permute(2, 0, 1)[None]


def _inception() -> Measure:
    from torchmetrics.image.fid import NoTrainInceptionV3

    return partial(fid, NoTrainInceptionV3(name="inception-v3-compat", features_list=["2048"]))


def _alex() -> Measure:
    from torchmetrics.image.lpip import LearnedPerceptualImagePatchSimilarity

    metric = LearnedPerceptualImagePatchSimilarity(net_type="alex", normalize=True)

    def lpips(pairs: Iterator[Pair]) -> float:
        return float(np.mean([metric(made / 255, truth / 255).item() for made, truth in pairs]))

    return lpips


def _had(name: str, load: Callable[[], Measure]) -> Measure:
    """Return the result of ``load``; a failure (no package, no network) becomes one sentence."""
    try:
        return load()
    # No package; no network (URLError is an OSError); a truncated download, which has a wrong checksum.
    except (ImportError, OSError, HTTPException, RuntimeError) as error:
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise UngrayError(
            f"evaluate.{name}: its package or weights are not available ({reason}); "
            "`pip install -e '.[perceptual]'`, let the machine reach the network once, or set it to false"
        ) from None
