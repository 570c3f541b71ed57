"""The figures by which every coloring is judged. Photos are uint8 sRGB of shape (height, width, 3)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.distance import jensenshannon
from skimage.color import deltaE_ciede2000
from skimage.metrics import structural_similarity

from ungray.imaging.color import Float, Rgb, chroma, rgb_to_lab

AB_WIDTH = 10
AB_EDGES = np.arange(-110, 111, AB_WIDTH)
"""Edges in Lab units of the bins of an ab histogram; sRGB reaches from -108 to 98."""

HIGHEST_PSNR = 100.0
"""PSNR of two equal photos, where the definition gives infinity, so that means stay finite."""


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
    # numpy.histogram2d gives the same (a test holds both together), ten times slower.
    a, b = np.moveaxis(((lab[..., 1:] - AB_EDGES[0]) / AB_WIDTH).astype(np.intp).clip(0, bins - 1), -1, 0)
    counts = np.bincount((a * bins + b).ravel(), minlength=bins * bins)
    return counts.reshape(bins, bins) / lab[..., 0].size


def histogram_distance(histogram: NDArray[np.float64], truth: NDArray[np.float64]) -> float:
    """Return the Jensen-Shannon distance of two ab histograms: 0 the same palette, 1 no color in common.

    It asks for the right amounts of the right colors, wherever they are in the photo; by SciPy, base 2
    (Endres and Schindelin 2003).
    """
    # Of two all but equal histograms SciPy takes the root of a rounding error, which may be below zero.
    with np.errstate(invalid="ignore"):
        return float(np.nan_to_num(jensenshannon(histogram.ravel(), truth.ravel(), base=2)))


def judge(photo: Rgb, truth: Rgb) -> dict[str, float]:
    """Return every figure of one coloring beside its true photo, by name.

    Keys: l1, mse, psnr, ssim, ab_mae, ciede2000 (mean over pixels), ciede2000_p95 (95th percentile over
    pixels), histogram_distance, colorfulness, colorfulness_truth, chroma_truth (mean over pixels).

    Raises:
        ValueError: the photos differ in shape.
    """
    if photo.shape != truth.shape:
        raise ValueError(f"shapes differ: {photo.shape} and {truth.shape}")
    lab, true_lab = rgb_to_lab(photo), rgb_to_lab(truth)
    differences = ciede2000(lab, true_lab)
    return {
        "l1": l1(photo, truth),
        "mse": mse(photo, truth),
        "psnr": psnr(photo, truth),
        "ssim": ssim(photo, truth),
        "ab_mae": ab_mae(lab, true_lab),
        "ciede2000": float(differences.mean()),
        "ciede2000_p95": float(np.percentile(differences, 95)),
        "histogram_distance": histogram_distance(ab_histogram(lab), ab_histogram(true_lab)),
        "colorfulness": colorfulness(photo),
        "colorfulness_truth": colorfulness(truth),
        "chroma_truth": float(chroma(true_lab).mean()),
    }


def _unit(photo: Rgb) -> NDArray[np.float64]:
    return photo.astype(np.float64) / 255
