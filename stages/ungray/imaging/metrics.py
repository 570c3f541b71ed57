"""The metrics by which every coloring is judged: what they compute, and the one registry of them.

Photos are uint8 sRGB of shape (height, width, 3). To add a metric, write its function and its entry in
:data:`METRICS`: tables, report, card, charts and DVC's files read that. SciPy and scikit-image are imported
where they are needed, so that reading the registry, as the page does, needs neither.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ungray.imaging.color import Float, Rgb, chroma, rgb_to_lab

AB_WIDTH = 10
AB_EDGES = np.arange(-110, 111, AB_WIDTH)
"""Edges in Lab units of the bins of an ab histogram; sRGB reaches from -108 to 98."""

HIGHEST_PSNR = 100.0
"""PSNR of two equal photos, for which the definition gives infinity, so that means stay finite."""


def l1(photo: Rgb, truth: Rgb) -> float:
    """Return the mean absolute error over all RGB values in 0..1; 0 is perfect."""
    return float(np.abs(_unit(photo) - _unit(truth)).mean())


def mse(photo: Rgb, truth: Rgb) -> float:
    """Return the mean squared error over all RGB values in 0..1; 0 is perfect."""
    return float(np.square(_unit(photo) - _unit(truth)).mean())


def psnr(photo: Rgb, truth: Rgb) -> float:
    """Return the peak signal-to-noise ratio on RGB, 10 log10(1 / MSE) dB; higher is better, at most 100."""
    error = mse(photo, truth)
    return HIGHEST_PSNR if error <= 10 ** (-HIGHEST_PSNR / 10) else float(-10 * np.log10(error))


def ssim(photo: Rgb, truth: Rgb) -> float:
    """Return the structural similarity on RGB, -1..1, 1 is equal (Wang et al. 2004, scikit-image).

    Gaussian window with sigma 1.5, 11 pixels wide as in the paper; the mean over the three channels. Both
    sides of the photo must be at least 11 pixels.
    """
    from skimage.metrics import structural_similarity

    return float(
        structural_similarity(
            photo,
            truth,
            channel_axis=-1,
            data_range=255,
            gaussian_weights=True,
            sigma=1.5,
            use_sample_covariance=False,
        )
    )


def ab_mae(lab: Float, truth: Float) -> float:
    """Return the mean absolute error of a and b, in Lab units, of two Lab photos; 0 is perfect."""
    return float(np.abs(lab[..., 1:] - truth[..., 1:]).mean())


def ciede2000(lab: Float, truth: Float) -> Float:
    """Return the color difference of each pixel, (height, width), of two Lab photos (Sharma et al. 2005).

    0 is equal, about 1 just noticeable, 10 plainly different; by scikit-image.
    """
    from skimage.color import deltaE_ciede2000

    return deltaE_ciede2000(truth, lab).astype(np.float32)


def colorfulness(photo: Rgb) -> float:
    """Return how colorful people find a photo: 0 gray, 33 moderate, 109 extreme.

    M3 of Hasler and Suesstrunk, "Measuring colourfulness in natural images" (2003), on RGB in 0..255:
    sigma_rgyb + 0.3 mu_rgyb of the opponents rg = R - G and yb = (R + G) / 2 - B.
    """
    red, green, blue = np.moveaxis(photo.astype(np.float64), -1, 0)
    red_green, yellow_blue = red - green, (red + green) / 2 - blue
    spread = np.hypot(red_green.std(), yellow_blue.std())
    return float(spread + 0.3 * np.hypot(red_green.mean(), yellow_blue.mean()))


def ab_histogram(lab: Float) -> NDArray[np.float64]:
    """Return the share of the pixels of a Lab photo in each square of :data:`AB_EDGES`: (a bins, b bins)."""
    bins = len(AB_EDGES) - 1
    # numpy.histogram2d gives the same (a test compares both), ten times slower.
    a, b = np.moveaxis(((lab[..., 1:] - AB_EDGES[0]) / AB_WIDTH).astype(np.intp).clip(0, bins - 1), -1, 0)
    counts = np.bincount((a * bins + b).ravel(), minlength=bins * bins)
    return counts.reshape(bins, bins) / lab[..., 0].size


def histogram_distance(histogram: NDArray[np.float64], truth: NDArray[np.float64]) -> float:
    """Return the Jensen-Shannon distance of two ab histograms: 0 the same palette, 1 no color in common.

    It compares the amounts of colors, wherever they are in the photo; by SciPy, base 2
    (Endres and Schindelin 2003).
    """
    from scipy.spatial.distance import jensenshannon

    # For two nearly equal histograms SciPy takes the root of a rounding error, which may be negative.
    with np.errstate(invalid="ignore"):
        return float(np.nan_to_num(jensenshannon(histogram.ravel(), truth.ravel(), base=2)))


class Coloring:
    """A colored photo and the true one, as the metrics need them; what several need is computed once.

    Raises:
        ValueError: the photos differ in shape.
    """

    def __init__(self, photo: Rgb, truth: Rgb) -> None:
        if photo.shape != truth.shape:
            raise ValueError(f"shapes differ: {photo.shape} and {truth.shape}")
        self.photo, self.truth = photo, truth

    @cached_property
    def lab(self) -> Float:
        """The colored photo in Lab."""
        return rgb_to_lab(self.photo)

    @cached_property
    def true_lab(self) -> Float:
        """The true photo in Lab."""
        return rgb_to_lab(self.truth)

    @cached_property
    def differences(self) -> Float:
        """The CIEDE2000 of each pixel."""
        return ciede2000(self.lab, self.true_lab)


@dataclass(frozen=True)
class Metric:
    """The full definition of one metric."""

    name: str
    """Its name in tables and files."""
    title: str
    """Its display name."""
    explanation: str
    """What it means, in a line."""
    better: Literal["lower", "higher", "neither"]
    format: str
    """The format of a mean, as :func:`format` takes it."""
    function: Callable[[Coloring], float] | None = None
    """Its value for one photo. None for a ratio, and for what only the stage ``evaluate`` can compute."""
    ratio: tuple[str, str] | None = None
    """Two columns of a table of judged photos: the metric is the sum of the first over that of the second."""
    unit: str = ""
    headline: bool = False
    """Whether it is in metrics.json, in the card, and in the first table of the report."""
    training: bool = False
    """Whether training measures it after each epoch, so that ``train.watch`` can name it."""

    @property
    def label(self) -> str:
        """Title, unit and direction, as on an axis: "PSNR, dB (higher is better)"."""
        direction = "" if self.better == "neither" else f" ({self.better} is better)"
        return f"{self.title}{self.unit and f', {self.unit}'}{direction}"

    @property
    def minus_gray_label(self) -> str:
        """The axis label of its difference from the gray photo's."""
        side = {"lower": "under 0 the model is better", "higher": "over 0 the model is better", "neither": ""}
        return f"{self.title} minus gray's{side[self.better] and f' ({side[self.better]})'}"

    @property
    def of_photos(self) -> bool:
        """Whether it follows from a table of judged photos, so that it has an interval."""
        return self.function is not None or self.ratio is not None

    def text(self, value: float, *, signed: bool = False) -> str:
        """Return ``value`` as text for people; with a plus or minus if ``signed``, as for a difference."""
        return format(value, f"{'+' if signed else ''}{self.format}")


METRICS: dict[str, Metric] = {
    metric.name: metric
    for metric in (
        Metric(
            "ciede2000",
            title="CIEDE2000",
            explanation="how different two colors look: 0 is equal, 1 just noticeable, 10 plainly another "
            "color",
            better="lower",
            format=".2f",
            function=lambda it: float(it.differences.mean()),
            headline=True,
            training=True,
        ),
        Metric(
            "ciede2000_p95",
            title="CIEDE2000, 95th percentile of pixels",
            explanation="the same where it is worst: one pixel in twenty is further off",
            better="lower",
            format=".2f",
            function=lambda it: float(np.percentile(it.differences, 95)),
        ),
        Metric(
            "ab_mae",
            title="ab MAE",
            explanation="mean absolute error of a (green to red) and b (blue to yellow) of Lab; 1 is just "
            "noticeable",
            better="lower",
            format=".2f",
            function=lambda it: ab_mae(it.lab, it.true_lab),
            headline=True,
            training=True,
        ),
        Metric(
            "psnr",
            title="PSNR",
            explanation="peak signal over squared error on RGB, on a logarithmic scale: 3 dB more is half "
            "the error",
            better="higher",
            format=".2f",
            function=lambda it: psnr(it.photo, it.truth),
            unit="dB",
            headline=True,
            training=True,
        ),
        Metric(
            "ssim",
            title="SSIM",
            explanation="how similar the structure is on RGB, 1 at most; the gray photo has nearly all of it",
            better="higher",
            format=".3f",
            function=lambda it: ssim(it.photo, it.truth),
            headline=True,
        ),
        Metric(
            "histogram_distance",
            title="ab histogram distance",
            explanation="whether each color is as frequent as in the truth, wherever it is; 0 is equal",
            better="lower",
            format=".3f",
            function=lambda it: histogram_distance(ab_histogram(it.lab), ab_histogram(it.true_lab)),
        ),
        Metric(
            "l1",
            title="L1 on RGB",
            explanation="absolute error of red, green and blue in 0..1, as earlier work reports it",
            better="lower",
            format=".4f",
            function=lambda it: l1(it.photo, it.truth),
        ),
        Metric(
            "mse",
            title="MSE on RGB",
            explanation="squared error of red, green and blue in 0..1, as earlier work reports it",
            better="lower",
            format=".4f",
            function=lambda it: mse(it.photo, it.truth),
        ),
        Metric(
            "colorfulness",
            title="colorfulness",
            explanation="of Hasler and S\u00fcsstrunk: 0 gray, 33 moderate, 59 quite, 82 highly colorful",
            better="neither",
            format=".1f",
            function=lambda it: colorfulness(it.photo),
        ),
        Metric(
            "colorfulness_ratio",
            title="colorfulness ratio",
            explanation="mean colorfulness over the true photos': under 1 paler than they are, over 1 more "
            "vivid",
            better="neither",
            format=".2f",
            ratio=("colorfulness", "colorfulness_truth"),
            headline=True,
        ),
        Metric(
            "fid",
            title="FID",
            explanation="how far what a network sees in all colored photos is from what it sees in the true",
            better="lower",
            format=".2f",
        ),
        Metric(
            "lpips",
            title="LPIPS",
            explanation="how different a photo and the truth look to a network that knows many photos",
            better="lower",
            format=".3f",
        ),
        Metric(
            "raw_l1",
            title="L1 of the network's own output",
            explanation="before the photo's own lightness is put back",
            better="lower",
            format=".4f",
        ),
        Metric(
            "raw_mse",
            title="MSE of the network's own output",
            explanation="before the photo's own lightness is put back",
            better="lower",
            format=".4f",
        ),
    )
}
"""Every metric by its name, in the order of the tables."""

DECISIVE = METRICS["ciede2000"]
"""The metric that decides verdicts, the order of photos, kinds and the search of ``tune``."""

OF_TRUTH: dict[str, Callable[[Coloring], float]] = {
    "colorfulness_truth": lambda it: colorfulness(it.truth),
    "chroma_truth": lambda it: float(chroma(it.true_lab).mean()),
}
"""Columns of a table of judged photos that depend on the true photo alone; chroma is the mean over pixels."""


def of_photos() -> list[Metric]:
    """Return the metrics that follow from a table of judged photos."""
    return [metric for metric in METRICS.values() if metric.of_photos]


def headline() -> list[Metric]:
    """Return the metrics that are few enough to compare at a glance."""
    return [metric for metric in METRICS.values() if metric.headline]


def of_training() -> list[Metric]:
    """Return the metrics that training measures after each epoch."""
    return [metric for metric in METRICS.values() if metric.training]


def judge(photo: Rgb, truth: Rgb, *, names: Collection[str] | None = None) -> dict[str, float]:
    """Return the metrics of one coloring compared with its true photo, and :data:`OF_TRUTH`, by name.

    ``names`` selects some of them; None takes all that have a function.

    Raises:
        ValueError: the photos differ in shape.
    """
    coloring = Coloring(photo, truth)
    functions = {name: metric.function for name, metric in METRICS.items() if metric.function} | OF_TRUTH
    return {
        name: function(coloring) for name, function in functions.items() if names is None or name in names
    }


def _unit(photo: Rgb) -> NDArray[np.float64]:
    return photo.astype(np.float64) / 255
