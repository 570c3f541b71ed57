"""sRGB <-> CIE Lab (D65) on tensors of shape (batch, 3, height, width): differentiable, on any device.

The formulas and constants are those of CIE 15 and IEC 61966-2-1, as on arrays
(stages.color); a test holds both and scikit-image's together.
"""

from __future__ import annotations

import torch
from torch import Tensor

from stages.color import RGB_TO_XYZ, WHITE, XYZ_TO_RGB


def rgb_to_lab(rgb: Tensor) -> Tensor:
    """Convert float sRGB in 0..1 to Lab, L in 0..100."""
    linear = torch.where(rgb > 0.04045, ((rgb.clamp(min=0.04045) + 0.055) / 1.055) ** 2.4, rgb / 12.92)
    xyz = _mix(linear, rgb.new_tensor(RGB_TO_XYZ)) / rgb.new_tensor(WHITE).view(1, 3, 1, 1)
    scaled = torch.where(xyz > 0.008856, xyz.clamp(min=0.008856) ** (1 / 3), 7.787 * xyz + 16 / 116)
    x, y, z = scaled.unbind(1)
    return torch.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], dim=1)


def lab_to_rgb(lab: Tensor) -> Tensor:
    """Convert Lab to float sRGB; what lies outside the gamut is clamped to 0..1."""
    lightness, a, b = lab.unbind(1)
    y = (lightness + 16) / 116
    scaled = torch.stack([y + a / 500, y, y - b / 200], dim=1)
    xyz = torch.where(scaled > 0.2068966, scaled**3, (scaled - 16 / 116) / 7.787)
    linear = _mix(xyz * lab.new_tensor(WHITE).view(1, 3, 1, 1), lab.new_tensor(XYZ_TO_RGB))
    rgb = torch.where(
        linear > 0.0031308, 1.055 * linear.clamp(min=0.0031308) ** (1 / 2.4) - 0.055, 12.92 * linear
    )
    return rgb.clamp(0, 1)


def _mix(channels: Tensor, matrix: Tensor) -> Tensor:
    # Written out rather than as a matrix product, which may be computed in reduced precision.
    first, second, third = channels.unbind(1)
    return torch.stack([row[0] * first + row[1] * second + row[2] * third for row in matrix], dim=1)
