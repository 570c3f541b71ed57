"""A page with two small untrained models, and photographs to bring to it."""

import io

import numpy as np
import pytest
import torch
from PIL import Image
from skimage import data

from ungray import networks

from .visitor import Server

VERDICT = (
    "Beside the gray photo: **worse**. CIEDE2000 is 1.00 higher than the gray photo's (lower is better)."
)
CARD = f"# Model card: first\n\n## Verdict\n\n{VERDICT}\n"
MAX_BYTES, MAX_PIXELS = 1_500_000, 1_000_000


@pytest.fixture(scope="session")
def models(tiny, tmp_path_factory):
    """Two untrained models, first and second; the first has a card."""
    folder = tmp_path_factory.mktemp("models")
    for number, name in enumerate(("first", "second")):
        torch.manual_seed(number)
        network = networks.build(tiny["train"].network())
        networks.save_model(folder / f"{name}.safetensors", networks.Model(network, {}))
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
