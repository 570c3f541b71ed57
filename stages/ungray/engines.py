"""What runs the network: torch on a .safetensors file, or onnxruntime on an .onnx file, without torch."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ungray.errors import ArgumentError, UngrayError
from ungray.imaging.color import Float, PredictAb

if TYPE_CHECKING:
    from ungray.networks import Model

SUFFIXES = {"torch": ".safetensors", "onnxruntime": ".onnx"}
"""The file each engine reads."""


@dataclass(frozen=True)
class Engine:
    """A network ready to run.

    ``run`` wants both sides of what it takes to be multiples of ``multiple``, and hints only where it
    ``takes_hints``; see :func:`ungray.hints.drawn`. ``path``: of its file. ``working_size``: the short side
    in pixels of the photos it knows. ``configuration``, ``provenance`` and ``quality``: see
    :mod:`ungray.networks`.
    """

    name: str
    path: Path
    run: PredictAb
    multiple: int
    configuration: dict[str, Any]
    provenance: dict[str, Any]
    quality: dict[str, Any] = field(default_factory=dict)

    @property
    def working_size(self) -> int:
        """Pixels."""
        return int(self.configuration["working_size"])

    @property
    def takes_hints(self) -> bool:
        """Whether the network can be told colors."""
        return bool(self.configuration.get("hints"))


def load(path: Path, *, engine: str = "auto", threads: int = 0) -> Engine:
    """Load the model at ``path``, or the file of the same name beside it that ``engine`` reads.

    ``auto`` takes onnxruntime, which starts in a fraction of the time and memory, where such a file lies
    beside and is of the very same training; otherwise what reads ``path``.
    ``threads`` is how many a run of the network may use, 0 for one per core; torch takes it for all it does.

    Raises:
        ArgumentError: no such engine.
        UngrayError: no such file, no model of ours, damaged, or torch is needed and not there.
    """
    names = {suffix: name for name, suffix in SUFFIXES.items()}
    if engine not in ("auto", *SUFFIXES):
        raise ArgumentError(f"there is no engine {engine}; use auto, {' or '.join(SUFFIXES)}")
    if path.suffix not in names:
        raise UngrayError(f"{path} is no model: its name ends in neither {' nor '.join(names)}")
    if engine == "auto" and (exported := _of_same_training(path, threads)):
        return exported
    chosen = names[path.suffix] if engine == "auto" else engine
    path = path.with_suffix(SUFFIXES[chosen])
    return _load_torch(path, threads) if chosen == "torch" else _load_onnxruntime(path, threads)


def _of_same_training(path: Path, threads: int) -> Engine | None:
    """Return the .onnx file beside ``path``, a .safetensors file, if it holds the very same model."""
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
        return None  # whoever reads the damaged one says so
    return engine if about == (engine.configuration, engine.provenance) else None


def _load_torch(path: Path, threads: int) -> Engine:
    # Here, not above: torch takes seconds to import, and onnxruntime's users need none.
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
    """Return ``model`` as torch runs it, on its own device; ``path`` is that of its file, if there is one."""
    from ungray.networks import predictor

    network = model.network
    about = network.configuration, model.provenance, model.quality
    return Engine("torch", path, predictor(network), network.MULTIPLE, *about)


def _load_onnxruntime(path: Path, threads: int) -> Engine:
    import onnxruntime

    if not path.is_file():
        raise UngrayError(f"{path} not found; `dvc repro export` makes it, `dvc pull` fetches it")
    try:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        about = session.get_modelmeta().custom_metadata_map
        multiple = int(about["multiple"])
        configuration, provenance = json.loads(about["configuration"]), json.loads(about["provenance"])
        quality = json.loads(about.get("quality", "{}"))
    except Exception as error:  # onnxruntime's own, of many kinds without a common one
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise UngrayError(
            f"{path} is damaged or not a model of ungray ({reason}); fetch it again with `dvc pull`, or make "
            "it anew with `dvc repro --force export`"
        ) from None

    def run(lightness: Float, hints: Float | None = None) -> Float:
        given = {"lightness": lightness}
        if configuration.get("hints"):
            batch, _, *size = lightness.shape
            given["hints"] = np.zeros((batch, 3, *size), np.float32) if hints is None else hints
        return session.run(["ab"], given)[0]

    return Engine("onnxruntime", path, run, multiple, configuration, provenance, quality)
