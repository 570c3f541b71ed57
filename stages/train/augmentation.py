"""Changes what the network sees of the train photos: their tones, and damage like that of old scans.

Prints of all ages and cameras differ in brightness and contrast, and photos in archives are damaged. Only the
network's input is changed; its target stays the color of the true photo.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import albumentations
import cv2
import numpy as np
import torch
from albumentations import Compose, ImageOnlyTransform, OneOf, Sequential
from numpy.typing import NDArray
from torch import Tensor

from stages.train.params import Params
from ungray.imaging.upsampling import gray_photo

Pixels = NDArray[np.uint8]


class Augmentation:
    """Changes the tones of ``train.tones`` of all photos, then degrades ``train.degradation`` of them.

    Each of ``train.degradation_effects`` applies to half of the degraded photos. What happens to a photo
    depends only on the seed, the epoch and the photo's number, so an interrupted training resumes with
    exactly the photos it would have seen.
    """

    def __init__(self, params: Params) -> None:
        self._params = params
        # In the order of EFFECTS, whatever the order in params.yaml.
        chosen = {name: make(p=0.5) for name, make in EFFECTS.items() if name in params.degradation_effects}
        in_color = [chosen.pop("sepia")] if "sepia" in chosen else []
        self._degrade = Compose([*in_color, ToGray(p=1), *chosen.values()])

    def batch(self, rgb: Tensor, *, numbers: NDArray[np.int64], epoch: int) -> Tensor:
        """Return what the network sees of ``rgb``, uint8 (batch, height, width, 3), in the same shape.

        ``numbers`` are the numbers of these photos among all train photos. Degraded photos are gray.
        """
        params, seen = self._params, rgb.numpy().copy()
        for photo, number in zip(seen, numbers, strict=True):
            draws = np.random.default_rng([params.seed, epoch, int(number), 2])
            if draws.random() < params.tones:
                photo[:] = tone_curve(draws)[photo]
            draws = np.random.default_rng([params.seed, epoch, int(number)])
            if draws.random() < params.degradation:
                photo[:] = self.degrade(photo, draws)
        return torch.from_numpy(seen)

    def degrade(self, rgb: Pixels, draws: np.random.Generator) -> Pixels:
        """Return ``rgb``, uint8 (height, width, 3), gray and degraded, in the same shape."""
        # All effects draw from one generator: with one seed for each, either all or none would happen.
        self._degrade.set_random_state(draws, random.Random(int(draws.integers(2**63))))
        return self._degrade(image=rgb)["image"][..., None].repeat(3, axis=2)


def tone_curve(draws: np.random.Generator) -> NDArray[np.uint8]:
    """Draw a tone curve: the new level of each level, uint8 (256,).

    Gamma is between 0.67 and 1.5, contrast (around the middle gray) between 0.7 and 1.2, and brightness
    changes by up to a tenth of the whole range.
    """
    gamma, contrast = np.exp(draws.uniform(-0.4, 0.4)), draws.uniform(0.7, 1.2)
    levels = (np.linspace(0, 1, 256) ** gamma - 0.5) * contrast + 0.5 + draws.uniform(-0.1, 0.1)
    return (levels.clip(0, 1) * 255 + 0.5).astype(np.uint8)


class ToGray(ImageOnlyTransform):
    """Makes the gray photo with the lightness of the color photo, as everywhere in ungray."""

    def apply(self, img: Pixels, **params: Any) -> Pixels:
        """Return the gray photo, uint8 (height, width), of ``img``, uint8 (height, width, 3)."""
        return gray_photo(img)[..., 0]


class Scratches(ImageOnlyTransform):
    """Adds thin lines along the film, bright for missing emulsion or dark for dirt; and dust."""

    def get_params_dependent_on_data(self, params: dict[str, Any], data: dict[str, Any]) -> dict[str, Any]:
        """Draw the scratches: ``where`` is their opacity (0..1), ``tone`` their gray level (0..255)."""
        height, width = params["shape"][:2]
        draws = self.random_generator
        where = np.zeros((height, width), np.uint8)
        for _ in range(draws.integers(1, 6)):
            x = draws.random() * width + np.cumsum(draws.normal(0, 0.01 * width, 4))
            y = draws.random() * height + np.linspace(0, draws.uniform(0.2, 1.2) * height, 4)
            line = np.rint(np.column_stack([x, y - 0.3 * height]) * 16).astype(np.int32)
            strength = int(draws.uniform(40, 180))
            cv2.polylines(where, [line], False, strength, lineType=cv2.LINE_AA, shift=4)
        for x, y, radius in draws.random((draws.integers(0, 20), 3)) * (width, height, 0.01 * width):
            center = round(16 * x), round(16 * y)
            cv2.circle(where, center, round(16 * radius), 180, -1, lineType=cv2.LINE_AA, shift=4)
        tone = float(draws.choice([draws.uniform(200, 255), draws.uniform(0, 60)], p=[0.7, 0.3]))
        return {"where": where.astype(np.float32) / 255, "tone": tone}

    def apply(self, img: Pixels, *, where: NDArray[np.float32], tone: float, **params: Any) -> Pixels:
        """Return the scratched photo, uint8 (height, width)."""
        return _blend(img, tone, where)


class Borders(ImageOnlyTransform):
    """Adds a border as of a print lying slightly askew on a scanner: white paper or a black lid."""

    def get_params_dependent_on_data(self, params: dict[str, Any], data: dict[str, Any]) -> dict[str, Any]:
        """Draw the border, at most 8 % of a side: ``where`` is opacity (0..1), ``tone`` its gray level."""
        height, width = params["shape"][:2]
        draws = self.random_generator
        corners = np.array([[0, 0], [1, 0], [1, 1], [0, 1]])
        inward = np.array([[1, 1], [-1, 1], [-1, -1], [1, -1]])
        inner = corners + inward * (draws.uniform(0, 0.06) + draws.uniform(0, 0.02, (4, 2)))
        photo = np.full((height, width), 255, np.uint8)
        outline = np.rint(inner * (width - 1, height - 1) * 16).astype(np.int32)
        cv2.fillConvexPoly(photo, outline, 0, lineType=cv2.LINE_AA, shift=4)
        tone = float(draws.choice([draws.uniform(210, 250), draws.uniform(0, 40)], p=[0.7, 0.3]))
        return {"where": photo.astype(np.float32) / 255, "tone": tone}

    def apply(self, img: Pixels, *, where: NDArray[np.float32], tone: float, **params: Any) -> Pixels:
        """Return the photo with its border, uint8 (height, width)."""
        return _blend(img, tone, where)


def _blend(gray: Pixels, tone: float, where: NDArray[np.float32]) -> Pixels:
    return (gray + (tone - gray) * where + 0.5).astype(np.uint8)


def _blur(p: float) -> ImageOnlyTransform:
    return albumentations.GaussianBlur(blur_limit=0, sigma_limit=(0.4, 1.1), p=p)


def _grain(p: float) -> OneOf:
    fine, coarse = (
        albumentations.GaussNoise(std_range=(0.01, 0.1), noise_scale_factor=scale) for scale in (1, 0.5)
    )
    return OneOf([fine, coarse], p=p)


def _fading(p: float) -> Sequential:
    # Blacks turn gray and whites turn dull, often more so at one side or in a patch.
    paler = albumentations.RandomBrightnessContrast(
        brightness_limit=(0.1, 0.4), contrast_limit=(-0.6, -0.1), ensure_safe_range=True, p=1
    )
    uneven = OneOf(
        [
            albumentations.Illumination(mode=mode, intensity_range=(0.05, 0.2))
            for mode in ("linear", "gaussian")
        ],
        p=0.7,
    )
    return Sequential([paler, uneven], p=p)


EFFECTS: dict[str, Callable[..., Any]] = {
    "sepia": albumentations.ToSepia,
    "blur": _blur,
    "grain": _grain,
    "fading": _fading,
    "borders": Borders,
    "scratches": Scratches,
}
"""Makes each effect, given its probability p, in the order in which they are applied to a photo."""
