"""sRGB <-> CIE Lab (D65) on tensors of shape (batch, 3, height, width): differentiable, on any device.

The formulas and constants are those of CIE 15 and IEC 61966-2-1, as for arrays in ungray.imaging.color; a
test compares both with scikit-image.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ungray.imaging.color import RGB_TO_XYZ, WHITE, XYZ_TO_RGB

GRAY = (XYZ_TO_RGB @ WHITE)[0] * RGB_TO_XYZ[1]
"""The weights from linear RGB to linear gray of the same luminance."""


def rgb_to_lab(rgb: Tensor) -> Tensor:
    """Convert float sRGB in 0..1 to Lab, L in 0..100."""
    x, y, z = (_lightened(channel) for channel in _mix(_linear(rgb), RGB_TO_XYZ / WHITE[:, None]))
    return torch.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], dim=1)


def gray_photo(rgb: Tensor) -> Tensor:
    """Return the gray photo, sRGB in 0..1 (batch, 1, height, width), that has the lightness of ``rgb``.

    The result is that of :func:`lab_to_rgb` for the L of :func:`rgb_to_lab` and zero ab, without the cube
    roots and cubes, which cancel.
    """
    (luminance,) = _mix(_linear(rgb), GRAY[None])
    return _encoded(luminance).clamp(0, 1)[:, None]


def lab_to_rgb(lab: Tensor) -> Tensor:
    """Convert Lab to float sRGB, clamped to 0..1 outside of the gamut."""
    lightness, a, b = lab.unbind(1)
    y = (lightness + 16) / 116
    scaled = torch.stack([y + a / 500, y, y - b / 200], dim=1)
    xyz = torch.where(scaled > 0.2068966, scaled**3, (scaled - 16 / 116) / 7.787)
    linear = torch.stack(_mix(xyz, XYZ_TO_RGB * WHITE), dim=1)
    return _encoded(linear).clamp(0, 1)


def _linear(rgb: Tensor) -> Tensor:
    # Clamped, since the gradient of a power of a negative number is NaN, even if torch.where drops the value.
    return torch.where(rgb > 0.04045, ((rgb.clamp(min=0.04045) + 0.055) / 1.055) ** 2.4, rgb / 12.92)


def _encoded(linear: Tensor) -> Tensor:
    bright = 1.055 * linear.clamp(min=0.0031308) ** (1 / 2.4) - 0.055
    return torch.where(linear > 0.0031308, bright, 12.92 * linear)


def _lightened(relative: Tensor) -> Tensor:
    bright = relative.clamp(min=0.008856) ** (1 / 3)
    return torch.where(relative > 0.008856, bright, 7.787 * relative + 16 / 116)


def _mix(channels: Tensor, matrix: NDArray[np.float64]) -> list[Tensor]:
    # Not a matrix product, which may be computed in reduced precision.
    first, second, third = channels.unbind(1)
    return [(first * r).add_(second, alpha=g).add_(third, alpha=b) for r, g, b in matrix.tolist()]
