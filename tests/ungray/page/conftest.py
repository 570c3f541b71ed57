"""A page with two small untrained models, and photographs to bring to it."""

import io

import numpy as np
import pytest
from PIL import Image
from skimage import data

from .visitor import Server

VERDICT = (
    "Worse than the gray photo: CIEDE2000 11.00 beside the gray photo's 10.00, 95 % interval of the "
    "difference +0.50 to +1.50, 30 groups."
)
QUALITY = {
    "test": {
        "name": "test", "photos": 30, "groups": 30, "wanted_groups": 20,
        "metrics": {
            "ciede2000": {
                "means": {"model": 11.0, "gray": 10.0},
                "minus": {"gray": {"mean": 1.0, "low": 0.5, "high": 1.5, "verdict": "worse"}},
            }
        },
    }
}  # fmt: skip
CARD = "# Model card: first\n\n## How good it is\n\n- Better than anything.\n"
MAX_BYTES, MAX_PIXELS = 1_500_000, 1_000_000


@pytest.fixture(scope="session")
def models(tiny, tmp_path_factory):
    """Two untrained models, first and second; the first has a quality in its file, and a card."""
    import torch

    from ungray import networks

    folder = tmp_path_factory.mktemp("models")
    for number, name in enumerate(("first", "second")):
        torch.manual_seed(number)
        network = networks.build(tiny["train"].network())
        quality = QUALITY if name == "first" else {}
        networks.save_model(folder / f"{name}.safetensors", networks.Model(network, {}, quality))
    (folder / "model_card.md").write_text(CARD)
    return [folder / "first.safetensors", folder / "second.safetensors"]


@pytest.fixture(scope="session")
def page(models, tmp_path_factory):
    """The page; its limits are MAX_BYTES and MAX_PIXELS."""
    server = Server(
        tmp_path_factory.mktemp("page"), "--max-bytes", MAX_BYTES, "--max-pixels", MAX_PIXELS,
        *(option for model in models for option in ("--model", model)),
    )  # fmt: skip
    yield server
    server.stop()


def encoded(rgb, kind="PNG", **options):
    """A photo's file."""
    written = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(rgb)).save(written, kind, **options)
    return written.getvalue()


@pytest.fixture(scope="session")
def cat():
    """A photograph, 451x300, as PNG."""
    return encoded(data.chelsea())


def pixels(content):
    """What a photo's file shows."""
    return np.asarray(Image.open(io.BytesIO(content)).convert("RGB")).astype(int)
