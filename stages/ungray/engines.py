"""What runs a network: torch, from a .safetensors file, or onnxruntime, from an .onnx file and without
torch."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ungray.errors import ArgumentError, UngrayError
from ungray.imaging.color import ExtractFeatures, Float, PredictAb

if TYPE_CHECKING:
    from ungray.networks import Model

SUFFIXES = {"torch": ".safetensors", "onnxruntime": ".onnx"}
"""The file each engine reads."""


@dataclass(frozen=True)
class Engine:
    """A network ready to run.

    ``run`` requires both sides of its input to be multiples of ``multiple``, and accepts hints only if
    ``takes_hints``; see :func:`ungray.hints.drawn`. ``path`` is that of its file. For ``configuration``,
    ``provenance`` and ``quality`` see :mod:`ungray.networks`.
    """

    name: str
    path: Path
    run: PredictAb
    multiple: int
    configuration: dict[str, Any]
    provenance: dict[str, Any]
    quality: dict[str, Any] = field(default_factory=dict)
    extract: ExtractFeatures | None = None
    """Returns the encoder's features; None if the file has none."""

    @property
    def working_size(self) -> int:
        """The short side in pixels of the photos that the network was trained on."""
        return int(self.configuration["working_size"])

    @property
    def takes_hints(self) -> bool:
        """Whether the network accepts hints."""
        return bool(self.configuration.get("hints"))


def load(path: Path, *, engine: str = "auto", threads: int = 0) -> Engine:
    """Load the model at ``path``, or the file of the same name in its folder that ``engine`` reads.

    ``auto`` chooses onnxruntime, which starts in a fraction of the time and memory, if the folder has an
    .onnx file of the very same training; otherwise it chooses the engine that reads ``path``. ``threads`` is
    the number of threads that a run of the network may use, 0 for one per core; with torch it holds for the
    whole process.

    Raises:
        ArgumentError: there is no such engine.
        UngrayError: the file does not exist, is not a model of ungray, is damaged, or needs torch, which is
            not installed.
    """
    names = {suffix: name for name, suffix in SUFFIXES.items()}
    if engine not in ("auto", *SUFFIXES):
        raise ArgumentError(f"unknown engine {engine}; use auto, {' or '.join(SUFFIXES)}")
    if path.suffix not in names:
        raise UngrayError(f"{path} is not a model: its name ends in neither {' nor '.join(names)}")
    if engine == "auto" and (exported := _of_same_training(path, threads)):
        return exported
    chosen = names[path.suffix] if engine == "auto" else engine
    path = path.with_suffix(SUFFIXES[chosen])
    return _load_torch(path, threads) if chosen == "torch" else _load_onnxruntime(path, threads)


def _of_same_training(path: Path, threads: int) -> Engine | None:
    """Return the engine of the .onnx file next to ``path``, a .safetensors file, if it holds the same
    model."""
    exported = path.with_suffix(SUFFIXES["onnxruntime"])
    if path == exported or not path.is_file() or not exported.is_file():
        return None
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="np") as file:
            saved = file.metadata() or {}
        engine = _load_onnxruntime(exported, threads)
        about = json.loads(saved["configuration"]), json.loads(saved["provenance"])
    except (SafetensorError, UngrayError, KeyError, ValueError, OSError):
        return None  # loading the damaged file will report it
    return engine if about == (engine.configuration, engine.provenance) else None


def _load_torch(path: Path, threads: int) -> Engine:
    # Imported here: torch takes seconds to import, and onnxruntime does not need it.
    try:
        import torch
    except ModuleNotFoundError:
        raise UngrayError(
            f"{path} needs torch, which is not installed; give the .onnx file of the model, or install the "
            "workflow: pip install 'ungray[workflow]'"
        ) from None

    from ungray import networks

    if threads:
        torch.set_num_threads(threads)
    return of_model(networks.load_model(path), path=path)


def of_model(model: Model, *, path: Path = Path()) -> Engine:
    """Return an engine that runs ``model`` in torch, on its device; ``path`` is that of its file, if any."""
    from ungray.networks import feature_extractor, predictor

    network = model.network
    about = network.configuration, model.provenance, model.quality
    run, extract = predictor(network), feature_extractor(network)
    return Engine("torch", path, run, network.MULTIPLE, *about, extract=extract)


def _load_onnxruntime(path: Path, threads: int) -> Engine:
    import onnxruntime

    if not path.is_file():
        raise UngrayError(f"{path} not found; `dvc repro export` makes it, `dvc pull` fetches it")
    try:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        # Else its threads keep the cores busy for a while after each run, which others need.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        about = session.get_modelmeta().custom_metadata_map
        multiple = int(about["multiple"])
        configuration, provenance = json.loads(about["configuration"]), json.loads(about["provenance"])
        quality = json.loads(about.get("quality", "{}"))
    except Exception as error:  # onnxruntime raises many kinds that have no common base class
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise UngrayError(
            f"{path} is damaged or not a model of ungray ({reason}); fetch it again with `dvc pull`, or make "
            "it again with `dvc repro --force export`"
        ) from None

    def inputs(lightness: Float, hints: Float | None) -> dict[str, Float]:
        given = {"lightness": lightness}
        if configuration.get("hints"):
            batch, _, *size = lightness.shape
            given["hints"] = np.zeros((batch, 3, *size), np.float32) if hints is None else hints
        return given

    def run(lightness: Float, hints: Float | None = None) -> Float:
        return session.run(["ab"], inputs(lightness, hints))[0]

    def features(lightness: Float) -> Float:
        return session.run(["features"], inputs(lightness, None))[0]

    has_features = "features" in {output.name for output in session.get_outputs()}
    extract = features if has_features else None
    return Engine("onnxruntime", path, run, multiple, configuration, provenance, quality, extract)
