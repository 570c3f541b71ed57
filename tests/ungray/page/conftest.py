"""A page with three small untrained models, and photographs to bring to it."""

import io
import json

import numpy as np
import onnx
import onnx.numpy_helper
import pytest
from PIL import Image
from skimage import data

from .visitor import Server

VERDICT = (
    "Worse than the gray photo: CIEDE2000 11.00 vs. the gray photo's 10.00, 95 % interval of the "
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
CARD = "# Model card: first\n\n## How good it is\n\n- Better than <script>anything</script>.\n"
MAX_BYTES, MAX_PIXELS = 1_500_000, 1_000_000


def write_model(path, *, seed, hints=False, quality=None):
    """Write a model of one random convolution, as ONNX: it is made and loaded in no time, without torch."""
    channels = 4 if hints else 1
    rng = np.random.default_rng(seed)
    weights = rng.normal(0, 0.1, (2, channels, 3, 3)).astype(np.float32)
    weights[:, 1:] = 0
    inputs = {"lightness": 1, "hints": 3} if hints else {"lightness": 1}
    values = {
        name: onnx.helper.make_tensor_value_info(
            name, onnx.TensorProto.FLOAT, ["batch", depth, "height", "width"]
        )
        for name, depth in (inputs | {"ab": 2}).items()
    }
    graph = onnx.helper.make_graph(
        [
            onnx.helper.make_node("Concat", list(inputs), ["all"], axis=1),
            onnx.helper.make_node("Conv", ["all", "weights", "bias"], ["ab"], pads=[1, 1, 1, 1]),
        ],
        "colorizer",
        [values[name] for name in inputs],
        [values["ab"]],
        [
            onnx.numpy_helper.from_array(weights, "weights"),
            onnx.numpy_helper.from_array(rng.uniform(10, 30, 2).astype(np.float32), "bias"),
        ],
    )
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 18)], ir_version=10)
    about = {
        "multiple": 16,
        "configuration": {"architecture": "one", "working_size": 64, "hints": hints},
        "provenance": {},
        "quality": quality or {},
    }
    onnx.helper.set_model_props(model, {name: json.dumps(value) for name, value in about.items()})
    onnx.save(model, path)


@pytest.fixture(scope="session")
def models(tmp_path_factory):
    """Models of random numbers: first, which has a quality in its file and a card, second, and hinted, which
    takes hints."""
    folder = tmp_path_factory.mktemp("models")
    write_model(folder / "first.onnx", seed=0, quality=QUALITY)
    write_model(folder / "second.onnx", seed=1)
    write_model(folder / "hinted.onnx", seed=2, hints=True)
    (folder / "model_card.md").write_text(CARD)
    return [folder / f"{name}.onnx" for name in ("first", "second", "hinted")]


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
