"""Writes the model as an ONNX file: lightness in, ab out, any size, with all information in its metadata."""

from __future__ import annotations

import copy
import json
import logging
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import torch
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from torch import Tensor, nn

from ungray.errors import UngrayError
from ungray.imaging.color import Float
from ungray.networks import Model, predictor
from ungray.networks.base import AB_SCALE, Network
from ungray.system.files import whole_file

SMALL = 1024
"""Tensors with at most this many values stay in fp32."""


class _Exported(nn.Module):
    """A copy of ``network`` as the exporter takes it.

    Layers that work in place are made to return new tensors: the exporter would take them apart, which takes
    it ten seconds more for the base model's network.
    """

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = copy.deepcopy(network)
        for layer in self.network.modules():
            if hasattr(layer, "inplace"):
                layer.inplace = False  # type: ignore[assignment]

    def forward(self, lightness: Tensor, hints: Tensor | None = None) -> Tensor | tuple[Tensor, Tensor]:
        if self.network.feature_channels:
            return self.network.predict_with_features(lightness, hints)
        return self.network.predict_ab(lightness, hints)


def interface(network: Network) -> dict[str, Any]:
    """Return the inputs and outputs of the ONNX file of ``network``, as JSON values."""
    inputs = {"lightness": (1, "L of CIELAB under D65, 0 (black) to 100 (white)")}
    if network.takes_hints:
        inputs["hints"] = (3, "a and b in Lab units, and a weight 0 to 1; all 0 where no color is known")
    outputs = {"ab": (2, "a and b of CIELAB under D65, in Lab units, about -110 to 110")}
    about: dict[str, dict[str, Any]] = {
        way: {
            name: {"type": "float32", "shape": ["batch", channels, "height", "width"], "meaning": meaning}
            for name, (channels, meaning) in puts.items()
        }
        for way, puts in (("inputs", inputs), ("outputs", outputs))
    }
    if network.feature_channels:
        about["outputs"]["features"] = {
            "type": "float32",
            "shape": ["batch", network.feature_channels, "height / 16", "width / 16"],
            "meaning": "the encoder's features: places that look alike have nearly one direction",
        }
    return {
        **about,
        "multiple": network.MULTIPLE,
        "working_size": network.working_size,
    }


def load_onnx(path: Path) -> onnx.ModelProto:
    """Return the content of the ONNX file at ``path``.

    Raises:
        UngrayError: the file does not exist or is damaged.
    """
    if not path.is_file():
        raise UngrayError(f"{path} not found; `dvc repro export` makes it, `dvc pull` fetches it")
    try:
        return onnx.load(str(path))
    except DecodeError as error:
        raise UngrayError(f"{path} is damaged or not an ONNX file ({error})") from None


def describe_onnx(content: onnx.ModelProto, model: Model) -> None:
    """Write the information about ``model`` into the metadata of ``content``, its ONNX file."""
    puts = interface(model.network)
    about = {
        "configuration": model.network.configuration,
        "interface": puts,
        "multiple": model.network.MULTIPLE,
        "provenance": model.provenance,
        **({"quality": model.quality} if model.quality else {}),
    }
    del content.metadata_props[:]
    onnx.helper.set_model_props(
        content, {name: json.dumps(value, sort_keys=True) for name, value in about.items()}
    )
    for value in (*content.graph.input, *content.graph.output):
        value.doc_string = (puts["inputs"] | puts["outputs"])[value.name]["meaning"]


def write_onnx(path: Path, model: Model, *, opset: int) -> None:
    """Write ``model`` as ONNX, with the inputs and outputs of :func:`interface`.

    Batch size, height and width are dynamic; both sides must be multiples of the metadata's ``multiple``.
    """
    network = model.network
    # The example's sides differ, because the exporter treats equal sizes as one dimension. They are over 1
    # even in the middle of the network, because it treats 1 as a constant.
    side = max(network.working_size, 2 * network.MULTIPLE)
    names = ["lightness", "hints"] if network.takes_hints else ["lightness"]
    examples = tuple(
        torch.zeros(2, channels, side, side + network.MULTIPLE)
        for _, channels in zip(names, (1, 3), strict=False)
    )
    height, width = (
        network.MULTIPLE * torch.export.Dim(name, min=1, max=512) for name in ("rows", "columns")
    )
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter warns of its own deprecations
        program = torch.onnx.export(
            _Exported(network).eval(),
            examples,
            dynamo=True,
            opset_version=opset,
            verbose=False,
            input_names=names,
            output_names=["ab", *(["features"] if network.feature_channels else [])],
            dynamic_shapes={name: {0: torch.export.Dim("batch"), 2: height, 3: width} for name in names},
        )
    assert program is not None
    exported = program.model_proto
    _strip_traces(exported)
    _store_weights_in_fp16(exported.graph)
    describe_onnx(exported, model)
    onnx.checker.check_model(exported, full_check=True)
    with whole_file(path) as partial:
        partial.write_bytes(exported.SerializeToString(deterministic=True))


def check_onnx(path: Path, model: Model, lightnesses: list[Float], *, tolerance: float) -> float:
    """Return the largest difference in ab between the file and torch on ``lightnesses`` (height, width).

    If predictions exceed the range of colors, as those of a network with little training do, the difference
    is divided by the factor of the excess, because rounding errors grow with the values.

    Features, if there are any, are not compared: they steer only which places are matched.

    Raises:
        UngrayError: the difference is over ``tolerance``.
    """
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    predict_ab, worst = predictor(model.network), 0.0
    for lightness in lightnesses:
        for hints in _hints(lightness) if model.network.takes_hints else [None]:
            given = {"lightness": lightness[None, None]}
            if hints is not None:
                given["hints"] = hints[None]
            ab = session.run(["ab"], given)[0][0]
            expected = predict_ab(given["lightness"], given.get("hints"))[0]
            beyond = max(1.0, float(np.abs(expected).max()) / AB_SCALE)
            worst = max(worst, float(np.abs(ab - expected).max()) / beyond)
    if worst > tolerance:
        raise UngrayError(
            f"export: ONNX differs from torch by {worst:.3g} in ab, export.tolerance allows "
            f"{tolerance:g}; raise it, or report a bug"
        )
    return worst


def _hints(lightness: Float) -> list[Float]:
    """Return hints to check a network with, float32 (3, height, width): no hints, and a red quarter."""
    none = np.zeros((3, *lightness.shape), np.float32)
    red = none.copy()
    red[:, : lightness.shape[0] // 2, : lightness.shape[1] // 2] = [[[60]], [[40]], [[1]]]
    return [none, red]


def _store_weights_in_fp16(graph: onnx.GraphProto) -> None:
    """Store weights in fp16, which halves the file; they are cast to fp32 when a session starts."""
    casts = []
    for weights in graph.initializer:
        if weights.data_type == onnx.TensorProto.FLOAT and np.prod(weights.dims) > SMALL:
            name = weights.name
            half = onnx.numpy_helper.to_array(weights).astype(np.float16)
            weights.CopyFrom(onnx.numpy_helper.from_array(half, f"{name}.fp16"))
            casts.append(onnx.helper.make_node("Cast", [f"{name}.fp16"], [name], to=onnx.TensorProto.FLOAT))
    nodes = [*casts, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)


def _strip_traces(exported: onnx.ModelProto) -> None:
    """Remove what the exporter records about this machine: stack traces with paths."""
    for node in exported.graph.node:
        del node.metadata_props[:]
        node.doc_string = ""
    for value in (
        *exported.graph.value_info,
        *exported.graph.input,
        *exported.graph.output,
        *exported.graph.initializer,
    ):
        del value.metadata_props[:]
    del exported.graph.metadata_props[:]
    del exported.metadata_props[:]
