"""Exports the trained model: checks it against torch, and writes its model card."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np

from stages.export.card import model_card
from stages.export.params import Params
from stages.export.quality import MODELS
from stages.export.to_onnx import check_onnx, write_onnx
from stages.storage import tables
from ungray import networks
from ungray.errors import UngrayError
from ungray.imaging import photos
from ungray.imaging.color import rgb_to_lab
from ungray.imaging.upsampling import small_size
from ungray.system.files import whole_file
from ungray.system.terminal import tell

QUALITY = Path("reports/quality.json")
"""How good the model is, as evaluate found."""


def run(params: Params) -> None:
    """Write data/models/colorizer.onnx and model_card.md.

    Raises:
        UngrayError: an input is missing, or the ONNX file does not do what the model does; it is deleted.
    """
    model = networks.load_model(MODELS / "colorizer.safetensors")
    if not QUALITY.is_file():
        raise UngrayError(f"{QUALITY} not found; `dvc repro evaluate` makes it")
    model = replace(model, quality=json.loads(QUALITY.read_text(encoding="utf-8")))
    network = model.network
    index = tables.read_table(Path("data/prepared/index.csv"), made_by="prepare")
    test = index.loc[index["split"] == "test", "file"].head(3)
    lightnesses = []
    for file, shape in zip(test, ((1, 1), (3, 2), (2, 3)), strict=False):
        rgb = photos.read_rgb(Path("data/prepared") / file)
        size = small_size(*shape, short_side=network.working_size, multiple=network.MULTIPLE)
        lightnesses.append(rgb_to_lab(np.asarray(cv2.resize(rgb, size), dtype=np.uint8))[..., 0])
    onnx_file = MODELS / "colorizer.onnx"
    write_onnx(onnx_file, model, opset=params.opset)
    try:
        worst = check_onnx(onnx_file, model, lightnesses, tolerance=params.tolerance)
    except UngrayError:
        onnx_file.unlink()
        raise
    manifest = tables.read_table(Path("data/manifest.csv"), made_by="scrape")
    with whole_file(MODELS / "model_card.md") as partial:
        partial.write_text(model_card(model, manifest=manifest), encoding="utf-8", newline="\n")
    tell(
        f"export: {onnx_file} within {worst:.2g} of torch in ab on photos of {len(lightnesses)} sizes; "
        f"{MODELS / 'model_card.md'}"
    )
