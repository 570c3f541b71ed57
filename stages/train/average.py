"""Average the weights of a model and of the one it was started from.

A model that was trained further is better on photos like those, and often worse on others. The mean of the
weights before and after keeps most of both (Wortsman and others, "Robust fine-tuning of zero-shot models",
2022), and costs nothing when it is used.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pandas as pd
import torch

from stages.params import Machine, load
from stages.storage import tables
from stages.train.data import Pixels, load_pixels
from stages.train.saturation_calibration import calibrate_saturation
from stages.train.validation import val_set
from ungray import networks
from ungray.errors import UngrayError
from ungray.networks import Model
from ungray.system.files import sha256
from ungray.system.terminal import Parser, tell

DOC = """\
Write the mean of two models' weights, after training one of them further from the other. The val photos of
data/prepared decide how vivid its colors are, and its file says how good it is on them. Judge it before you
keep it:

  python -m stages.train average data/base data/models --share 0.5 -o mean.safetensors
  python -m stages.evaluate compare data/models/colorizer.safetensors mean.safetensors --photos DIR
"""


def average(first: Model, second: Model, *, share: float) -> Model:
    """Return ``second`` with ``share`` (0..1) of its own weights and 1 - ``share`` of those of ``first``.

    Its quality is not known.

    Statistics of batch-norm layers are averaged like weights.

    Raises:
        UngrayError: their networks are configured differently.
    """
    if first.network.configuration != second.network.configuration:
        raise UngrayError("the two models have different networks, so their weights have no mean")
    before, after = first.network.state_dict(), second.network.state_dict()
    mean = {
        name: torch.lerp(before[name], value, share) if value.is_floating_point() else value
        for name, value in after.items()
    }
    network = networks.build(second.network.configuration)
    network.load_state_dict(mean)
    return Model(network.eval(), second.provenance)


def run(arguments: Sequence[str]) -> None:
    """Run the tool ``python -m stages.train average``."""
    parser = Parser(prog="python -m stages.train average", description=DOC)
    parser.add_argument("first", metavar="BEFORE", type=Path, help="a .safetensors, or its folder")
    parser.add_argument("second", metavar="AFTER", type=Path, help="the one trained further")
    parser.add_argument("--share", type=float, default=0.5, help="of AFTER, over 0 and under 1 (0.5)")
    parser.add_argument("-o", "--output", type=Path, required=True, help="the .safetensors to write")
    options = parser.parse_args(arguments)
    if not 0 < options.share < 1:
        raise UngrayError(f"--share is {options.share}; it must be over 0 and under 1")
    if options.output.suffix != ".safetensors":
        raise UngrayError(f"--output is {options.output}; its name must end in .safetensors")
    paths = [
        path / "colorizer.safetensors" if path.is_dir() else path for path in (options.first, options.second)
    ]
    first, second = (networks.load_model(path) for path in paths)
    index = tables.read_table(Path("data/prepared/index.csv"), made_by="prepare")
    model = average(first, second, share=options.share)
    val = _val(index, model)
    quality = {"val": val_set(model.network, val, index.loc[index["split"] == "val", "group"])}
    made = {
        "vivid": calibrate_saturation(model.network, val),
        "averaged": {"sha256": sha256(paths[0].read_bytes()), "share": options.share},
    }
    networks.save_model(options.output, replace(model, provenance=model.provenance | made, quality=quality))
    tell(f"train: {options.output}: {options.share:g} of {paths[1]}, {1 - options.share:g} of {paths[0]}")


def _val(index: pd.DataFrame, model: Model) -> Pixels:
    val = index[index["split"] == "val"]
    size = model.network.working_size
    return load_pixels(val, Path("data/prepared"), size=size, workers=load("machine", Machine).workers)
