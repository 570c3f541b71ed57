"""The figures a coloring is judged by, each held against published values or another implementation."""

import cv2
import numpy as np
import pytest
import torch
from scipy.stats import entropy
from skimage import data
from skimage.color import rgb2lab
from skimage.metrics import peak_signal_noise_ratio
from torchmetrics.functional.image import (
    peak_signal_noise_ratio as torchmetrics_psnr,
)
from torchmetrics.functional.image import (
    structural_similarity_index_measure as torchmetrics_ssim,
)

from ungray.imaging import metrics
from ungray.imaging.color import chroma, rgb_to_lab
from ungray.imaging.upsampling import gray_photo

# Sharma, Wu, Dalal, "The CIEDE2000 color-difference formula" (2005), table 1: all 34 pairs. Pairs 1-6 test
# the blue rotation term, 7-16 hue angles on both sides of 180 degrees, 17-24 large and small differences.
SHARMA = [
    ((50.0000, 2.6772, -79.7751), (50.0000, 0.0000, -82.7485), 2.0425),
    ((50.0000, 3.1571, -77.2803), (50.0000, 0.0000, -82.7485), 2.8615),
    ((50.0000, 2.8361, -74.0200), (50.0000, 0.0000, -82.7485), 3.4412),
    ((50.0000, -1.3802, -84.2814), (50.0000, 0.0000, -82.7485), 1.0000),
    ((50.0000, -1.1848, -84.8006), (50.0000, 0.0000, -82.7485), 1.0000),
    ((50.0000, -0.9009, -85.5211), (50.0000, 0.0000, -82.7485), 1.0000),
    ((50.0000, 0.0000, 0.0000), (50.0000, -1.0000, 2.0000), 2.3669),
    ((50.0000, -1.0000, 2.0000), (50.0000, 0.0000, 0.0000), 2.3669),
    ((50.0000, 2.4900, -0.0010), (50.0000, -2.4900, 0.0009), 7.1792),
    ((50.0000, 2.4900, -0.0010), (50.0000, -2.4900, 0.0010), 7.1792),
    ((50.0000, 2.4900, -0.0010), (50.0000, -2.4900, 0.0011), 7.2195),
    ((50.0000, 2.4900, -0.0010), (50.0000, -2.4900, 0.0012), 7.2195),
    ((50.0000, -0.0010, 2.4900), (50.0000, 0.0009, -2.4900), 4.8045),
    ((50.0000, -0.0010, 2.4900), (50.0000, 0.0010, -2.4900), 4.8045),
    ((50.0000, -0.0010, 2.4900), (50.0000, 0.0011, -2.4900), 4.7461),
    ((50.0000, 2.5000, 0.0000), (50.0000, 0.0000, -2.5000), 4.3065),
    ((50.0000, 2.5000, 0.0000), (73.0000, 25.0000, -18.0000), 27.1492),
    ((50.0000, 2.5000, 0.0000), (61.0000, -5.0000, 29.0000), 22.8977),
    ((50.0000, 2.5000, 0.0000), (56.0000, -27.0000, -3.0000), 31.9030),
    ((50.0000, 2.5000, 0.0000), (58.0000, 24.0000, 15.0000), 19.4535),
    ((50.0000, 2.5000, 0.0000), (50.0000, 3.1736, 0.5854), 1.0000),
    ((50.0000, 2.5000, 0.0000), (50.0000, 3.2972, 0.0000), 1.0000),
    ((50.0000, 2.5000, 0.0000), (50.0000, 1.8634, 0.5757), 1.0000),
    ((50.0000, 2.5000, 0.0000), (50.0000, 3.2592, 0.3350), 1.0000),
    ((60.2574, -34.0099, 36.2677), (60.4626, -34.1751, 39.4387), 1.2644),
    ((63.0109, -31.0961, -5.8663), (62.8187, -29.7946, -4.0864), 1.2630),
    ((61.2901, 3.7196, -5.3901), (61.4292, 2.2480, -4.9620), 1.8731),
    ((35.0831, -44.1164, 3.7933), (35.0232, -40.0716, 1.5901), 1.8645),
    ((22.7233, 20.0904, -46.6940), (23.0331, 14.9730, -42.5619), 2.0373),
    ((36.4612, 47.8580, 18.3852), (36.2715, 50.5065, 21.2231), 1.4146),
    ((90.8027, -2.0831, 1.4410), (91.1528, -1.6435, 0.0447), 1.4441),
    ((90.9257, -0.5406, -0.9208), (88.6381, -0.8985, -0.7239), 1.5381),
    ((6.7747, -0.2908, -2.4247), (5.8714, -0.0985, -2.2286), 0.6377),
    ((2.0776, 0.0795, -1.1350), (0.9033, -0.0636, -0.5514), 0.9082),
]


def _damaged(kind: str, photo: np.ndarray) -> np.ndarray:
    if kind == "blurred":
        return cv2.GaussianBlur(photo, (5, 5), 1.5)
    if kind == "noisy":
        noise = np.random.default_rng(0).normal(0, 20, photo.shape)
        return np.clip(photo + noise, 0, 255).astype(np.uint8)
    return gray_photo(photo)


pairs = pytest.mark.parametrize(
    ("photo", "truth"),
    [
        pytest.param(_damaged(kind, truth), truth, id=f"{name}-{kind}")
        for name, truth in (
            ("astronaut", data.astronaut()[:160, 120:320]),
            ("chelsea", data.chelsea()[60:220]),
        )
        for kind in ("blurred", "noisy", "gray")
    ],
)


def _tensor(photo: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(photo).permute(2, 0, 1)[None].double()


@pairs
def test_l1_and_mse_agree_with_torch_on_values_in_0_to_1(photo, truth):
    ours, theirs = _tensor(photo) / 255, _tensor(truth) / 255
    assert metrics.l1(photo, truth) == pytest.approx(
        torch.nn.functional.l1_loss(ours, theirs).item(), rel=1e-9
    )
    assert metrics.mse(photo, truth) == pytest.approx(
        torch.nn.functional.mse_loss(ours, theirs).item(), rel=1e-9
    )


def test_l1_and_mse_of_two_levels_by_hand():
    photo, truth = np.zeros((4, 4, 3), np.uint8), np.zeros((4, 4, 3), np.uint8)
    photo[..., 0] = 51  # a fifth, in a third of the values
    assert metrics.l1(photo, truth) == pytest.approx(0.2 / 3)
    assert metrics.mse(photo, truth) == pytest.approx(0.04 / 3)


def test_a_darker_photo_is_as_far_as_a_lighter_one():
    # uint8 arithmetic would wrap around.
    dark, light = np.full((16, 16, 3), 10, np.uint8), np.full((16, 16, 3), 20, np.uint8)
    assert metrics.l1(dark, light) == metrics.l1(light, dark) == pytest.approx(10 / 255)
    assert metrics.mse(dark, light) == metrics.mse(light, dark) == pytest.approx((10 / 255) ** 2)


@pairs
def test_psnr_agrees_with_scikit_image_and_torchmetrics(photo, truth):
    found = metrics.psnr(photo, truth)
    assert found == pytest.approx(peak_signal_noise_ratio(truth, photo, data_range=255), abs=1e-9)
    assert found == pytest.approx(
        torchmetrics_psnr(_tensor(photo), _tensor(truth), data_range=255.0).item(), abs=1e-4
    )


@pairs
def test_ssim_agrees_with_torchmetrics_where_the_window_lies_inside_the_photo(photo, truth):
    # torchmetrics reflects the photo at its border and averages over everything; the paper, scikit-image and
    # we average where the whole 11-pixel window fits: 5 pixels less on each side. There both must agree.
    everywhere, by_pixel = torchmetrics_ssim(
        _tensor(photo), _tensor(truth), sigma=1.5, data_range=255.0, return_full_image=True
    )
    found = metrics.ssim(photo, truth)
    assert found == pytest.approx(by_pixel[..., 5:-5, 5:-5].mean().item(), abs=1e-4)
    # The border is a tenth of these small photos, so the figure as torchmetrics users know it is near.
    assert found == pytest.approx(everywhere.item(), abs=0.03)
    assert found < 0.99


@pairs
def test_ab_mae_agrees_with_a_few_lines_on_scikit_images_lab(photo, truth):
    theirs = np.abs(rgb2lab(photo)[..., 1:] - rgb2lab(truth)[..., 1:]).mean()
    # OpenCV's float Lab differs from scikit-image's by under 0.5 in a single pixel, far less in the mean.
    assert metrics.ab_mae(rgb_to_lab(photo), rgb_to_lab(truth)) == pytest.approx(theirs, abs=0.1)


def test_ab_mae_leaves_lightness_out():
    lab = rgb_to_lab(data.chelsea())
    assert metrics.ab_mae(lab + np.float32([30, 0, 0]), lab) == 0
    assert metrics.ab_mae(lab + np.float32([0, 4, -2]), lab) == pytest.approx(3, abs=1e-4)


@pytest.mark.parametrize(("one", "other", "published"), SHARMA)
def test_ciede2000_gives_the_published_difference_in_both_directions(one, other, published):
    one, other = np.array([[one]]), np.array([[other]])
    assert metrics.ciede2000(one, other).item() == pytest.approx(published, abs=6e-5)
    assert metrics.ciede2000(other, one).item() == pytest.approx(published, abs=6e-5)


def test_ciede2000_of_photos_is_per_pixel_and_symmetric():
    truth = data.chelsea()[:120, :160]
    lab, other = rgb_to_lab(truth), rgb_to_lab(_damaged("noisy", truth))
    found = metrics.ciede2000(lab, other)
    assert found.shape == (120, 160)
    assert found.dtype == np.float32
    assert found.mean() > 1
    np.testing.assert_allclose(found, metrics.ciede2000(other, lab), atol=1e-3)


def _m3(photo: np.ndarray) -> float:
    """Hasler and Suesstrunk's M3, written from the paper over plain lists of pixels."""
    rg = [float(r) - float(g) for r, g, b in photo.reshape(-1, 3)]
    yb = [0.5 * (float(r) + float(g)) - float(b) for r, g, b in photo.reshape(-1, 3)]

    def mean(values: list[float]) -> float:
        return sum(values) / len(values)

    means = [mean(rg), mean(yb)]
    variances = [mean([v * v for v in rg]) - means[0] ** 2, mean([v * v for v in yb]) - means[1] ** 2]
    return sum(variances) ** 0.5 + 0.3 * (means[0] ** 2 + means[1] ** 2) ** 0.5


def test_colorfulness_of_a_picture_half_red_half_blue_by_hand():
    photo = np.zeros((10, 20, 3), np.uint8)
    photo[:, :10, 0], photo[:, 10:, 2] = 255, 255
    # rg is 255 and 0: mean 127.5, deviation 127.5; yb is 127.5 and -255: mean -63.75, deviation 191.25.
    by_hand = (127.5**2 + 191.25**2) ** 0.5 + 0.3 * (127.5**2 + 63.75**2) ** 0.5
    assert by_hand == pytest.approx(272.618, abs=1e-3)
    assert metrics.colorfulness(photo) == pytest.approx(by_hand, abs=1e-9)


def test_colorfulness_agrees_with_the_paper_written_out_again():
    for photo in (data.astronaut(), data.coffee()):
        part = np.ascontiguousarray(photo[::8, ::8])
        assert metrics.colorfulness(part) == pytest.approx(_m3(part), abs=1e-6)
        assert metrics.colorfulness(part) > 10


def test_a_gray_photo_has_no_colorfulness():
    assert metrics.colorfulness(np.dstack([data.camera()] * 3)) == 0


def test_ab_histograms_agree_with_numpys():
    for photo in (data.astronaut(), data.chelsea(), data.coffee()):
        lab = rgb_to_lab(photo)
        counts, _, _ = np.histogram2d(
            lab[..., 1].ravel(), lab[..., 2].ravel(), bins=(metrics.AB_EDGES, metrics.AB_EDGES)
        )
        np.testing.assert_array_equal(metrics.ab_histogram(lab), counts / counts.sum())


def test_every_color_of_srgb_lies_inside_an_ab_histogram():
    levels = np.arange(0, 256, 5, np.uint8)
    lab = rgb_to_lab(np.stack(np.meshgrid(levels, levels, levels), axis=-1).reshape(1, -1, 3))
    assert metrics.AB_EDGES[0] < lab[..., 1:].min()
    assert lab[..., 1:].max() < metrics.AB_EDGES[-1]


def test_histogram_distance_is_the_root_of_the_jensen_shannon_divergence_in_bits():
    one, other = (metrics.ab_histogram(rgb_to_lab(photo)) for photo in (data.chelsea(), data.coffee()))
    middle = (one + other) / 2
    written_out = (
        entropy(one.ravel(), middle.ravel(), base=2) + entropy(other.ravel(), middle.ravel(), base=2)
    ) / 2
    assert metrics.histogram_distance(one, other) == pytest.approx(written_out**0.5)
    assert metrics.histogram_distance(other, one) == pytest.approx(written_out**0.5)
    assert 0.1 < written_out**0.5 < 1


def test_histogram_distance_is_0_for_the_same_palette_elsewhere_and_1_for_no_color_in_common():
    photo = data.astronaut()
    one, mirrored = (metrics.ab_histogram(rgb_to_lab(picture)) for picture in (photo, photo[:, ::-1]))
    assert metrics.histogram_distance(one, mirrored) == 0
    red, blue = (
        metrics.ab_histogram(rgb_to_lab(np.full((20, 20, 3), color, np.uint8)))
        for color in ((200, 0, 0), (0, 0, 200))
    )
    assert metrics.histogram_distance(red, blue) == pytest.approx(1)


def test_histogram_distance_of_all_but_equal_histograms_is_a_number():
    rng = np.random.default_rng(0)
    for _ in range(300):
        one = rng.dirichlet(np.ones(484)).reshape(22, 22)
        other = one * (1 + 1e-15 * rng.normal(size=one.shape))
        assert 0 <= metrics.histogram_distance(one, other) < 1e-6


def test_equal_photos_get_the_best_of_every_figure():
    photo = data.chelsea()
    found = metrics.judge(photo, photo.copy())
    assert found["psnr"] == 100
    assert found["ssim"] == pytest.approx(1, abs=1e-9)
    for figure in ("l1", "mse", "ab_mae", "ciede2000", "ciede2000_p95", "histogram_distance"):
        assert found[figure] == 0, figure
    assert found["colorfulness"] == found["colorfulness_truth"] > 0


def test_psnr_of_nearly_equal_photos_stays_at_or_below_100():
    truth = data.astronaut()
    photo = truth.copy()
    photo[0, 0, 0] ^= 1
    assert metrics.psnr(photo, truth) == 100
    photo[:] ^= 1
    assert metrics.psnr(photo, truth) == pytest.approx(20 * np.log10(255))


def test_judge_gives_every_figure_of_its_docstring_and_agrees_with_the_single_ones():
    truth = data.chelsea()[:100, :120]
    photo = _damaged("gray", truth)
    found = metrics.judge(photo, truth)
    assert set(found) == {
        "l1", "mse", "psnr", "ssim", "ab_mae", "ciede2000", "ciede2000_p95", "histogram_distance",
        "colorfulness", "colorfulness_truth", "chroma_truth",
    }  # fmt: skip
    assert all(type(value) is float for value in found.values())
    differences = metrics.ciede2000(rgb_to_lab(photo), rgb_to_lab(truth))
    assert found["ciede2000"] == pytest.approx(differences.mean(), rel=1e-5)
    assert found["ciede2000_p95"] == pytest.approx(np.quantile(differences, 0.95), rel=1e-5)
    assert found["ciede2000_p95"] > found["ciede2000"]
    assert found["colorfulness"] < 1 < found["colorfulness_truth"]
    assert found["psnr"] == metrics.psnr(photo, truth)
    assert found["ssim"] == metrics.ssim(photo, truth)
    assert found["chroma_truth"] == pytest.approx(chroma(rgb_to_lab(truth)).mean())
    assert found["histogram_distance"] == metrics.histogram_distance(
        metrics.ab_histogram(rgb_to_lab(photo)), metrics.ab_histogram(rgb_to_lab(truth))
    )


@pytest.mark.parametrize("shape", [(50, 61, 3), (60, 50, 3), (50, 60, 1)])
def test_photos_of_different_shapes_are_not_compared(shape):
    with pytest.raises(ValueError, match="shapes differ"):
        metrics.judge(np.zeros(shape, np.uint8), np.zeros((50, 60, 3), np.uint8))
