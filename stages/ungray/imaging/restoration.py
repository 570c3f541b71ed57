"""What a network sees of a worn print: its faded blacks made black again, its grain taken out.

Networks learn from clean photos. Faded blacks and grain cost the base model about a third of its gain over
the gray photo, scratches and dust next to nothing. Only what the network sees is restored: the colored photo
keeps its own lightness, grain and all. Clean photos stay as they are, or nearly so.
"""

from __future__ import annotations

import cv2
import numpy as np

from ungray.imaging.color import Float, PredictAb

LEAST = 64
"""Pixels of the short side below which nothing is restored: texture looks like grain there."""

BLACK = 6.0
"""The black point, lightness in 0..100, that photos get whose own is higher. Of clean photos nine in ten have
at most 8, of faded prints half have 30."""

MOST_CONTRAST = 2.5
"""The largest factor by which contrast is raised, so that fog does not become night."""

BLOCK = 8
"""Side, in pixels, of the blocks whose noise is compared."""

SMOOTHEST = 10
"""Percentile of the blocks' noise that is taken for the photo's: grain is everywhere, texture is not."""

CLEAN = 0.3
"""Noise, as a standard deviation of lightness, of clean photos."""

STRENGTH = 1.5
"""Filter strength of non-local means per noise above :data:`CLEAN`."""

PATCH, SEARCHED = 3, 11
"""Sides, in pixels, of the patches that non-local means compares, and of the window it searches."""

LEVELS = np.float32(255 / 100)
"""8-bit levels per unit of lightness: OpenCV compares patches of 8 bits."""

SECOND_DIFFERENCES = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], np.float32)


def restored(lightness: Float) -> Float:
    """Return the small copy of a photo as a network should see it.

    Args:
        lightness: float32 (height, width) in 0..100; see :func:`~ungray.imaging.upsampling.small_copy`.

    Returns float32 of the same shape and range, or ``lightness`` itself if there is nothing to restore.
    """
    if min(lightness.shape) < LEAST:
        return lightness
    return _without_grain(_with_black(lightness))


def restoring(predict_ab: PredictAb) -> PredictAb:
    """Return ``predict_ab`` with the photos that it sees :func:`restored`."""

    def asked(lightness: Float, hints: Float | None = None, /) -> Float:
        copies: list[Float] = []
        for number, (copy,) in enumerate(lightness):
            again = number > 0 and np.array_equal(copy, lightness[number - 1, 0])
            copies.append(copies[-1] if again else restored(copy))
        return predict_ab(np.stack(copies)[:, None], hints)

    return asked


def noise(lightness: Float) -> float:
    """Return the standard deviation of the noise in ``lightness``, in its units.

    Second differences leave little of a photo but its noise (Immerkaer 1996). Here they are averaged block by
    block, and the smoothest blocks are taken for the noise.
    """
    differences = np.abs(cv2.filter2D(lightness, -1, SECOND_DIFFERENCES))[1:-1, 1:-1]
    half = BLOCK // 2
    blocks = cv2.blur(differences, (BLOCK, BLOCK))[half:-half:half, half:-half:half]
    # The filter multiplies a standard deviation by 6, and the mean of a normal |x| is sqrt(2 / pi) of it.
    return float(np.percentile(blocks, SMOOTHEST) / (6 * np.sqrt(2 / np.pi)))


def _with_black(lightness: Float) -> Float:
    """Return the photo with a black point of at most :data:`BLACK`; its white point stays."""
    black, white = np.percentile(lightness, (0.5, 99.5))
    if black <= BLACK:
        return lightness
    contrast = min((white - BLACK) / max(white - black, 1e-3), MOST_CONTRAST)
    return np.clip(white - (white - lightness) * contrast, 0, 100).astype(np.float32)


def _without_grain(lightness: Float) -> Float:
    """Return the photo with noise above :data:`CLEAN` taken out by non-local means (Buades et al. 2005)."""
    strength = STRENGTH * (noise(lightness) - CLEAN)
    if strength * LEVELS < 0.1:
        return lightness
    levels = np.rint(np.clip(lightness, 0, 100) * LEVELS).astype(np.uint8)
    smooth = cv2.fastNlMeansDenoising(levels, None, float(strength * LEVELS), PATCH, SEARCHED)
    return smooth / LEVELS
