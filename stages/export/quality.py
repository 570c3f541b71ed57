"""The tools ``quality``, which writes a model's quality into its files, and ``verdict``, which prints it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from stages.export.card import model_card
from stages.export.to_onnx import describe_onnx, load_onnx
from ungray import networks
from ungray.errors import UngrayError
from ungray.quality import lines
from ungray.system.files import whole_file
from ungray.system.terminal import Parser, tell

MODELS = Path("data/models")
PARTS = ("test", "kinds", "elsewhere", "hints")
"""Parts of a quality record; see :mod:`ungray.quality`."""

DOC = """\
Write how good the model in FOLDER is, as found by evaluate and its tools (JSON), into colorizer.safetensors
and colorizer.onnx there, and the model card anew from it. Parts that are not given stay. Examples:

  python -m stages.evaluate sets data/base/colorizer.onnx slides=~/slides mixed=~/mixed -o reports/sets
  python -m stages.evaluate sets data/base/colorizer.onnx ~/held-out/* --own -o reports/kinds
  python -m stages.evaluate hints data/base/colorizer.onnx --photos ~/mixed --most 40
  python -m stages.export quality data/base reports/{sets,kinds,hints}/quality.json --notes data/base/notes.md
"""


def verdict(arguments: Sequence[str]) -> None:
    """Run the tool ``python -m stages.export verdict``."""
    parser = Parser(
        prog="python -m stages.export verdict",
        description="Say how good a model is, compared with the gray photos, from its file.",
    )
    parser.add_argument(
        "model", nargs="?", type=Path, default=MODELS / "colorizer.onnx", help=".onnx or .safetensors"
    )
    path = parser.parse_args(arguments).model
    if path.suffix == ".safetensors":
        model = networks.load_model(path)
        said = lines(model.quality, model.provenance)
    else:
        about = {entry.key: entry.value for entry in load_onnx(path).metadata_props}
        said = lines(json.loads(about.get("quality", "{}")), json.loads(about.get("provenance", "{}")))
    tell(*(f"{sentence[0].upper()}{sentence[1:]}." for sentence in said or ["its quality is not known"]))


def quality(arguments: Sequence[str]) -> None:
    """Run the tool ``python -m stages.export quality``."""
    parser = Parser(prog="python -m stages.export quality", description=DOC)
    parser.add_argument("folder", metavar="FOLDER", type=Path, help="where the model's files are")
    parser.add_argument("found", metavar="JSON", nargs="*", type=Path, help="a quality.json of evaluate")
    parser.add_argument("--notes", metavar="FILE", type=Path, help="Markdown by hand, put into the card")
    parser.add_argument("--title", default="the base model", help="of the card (the base model)")
    options = parser.parse_args(arguments)
    saved, exported = (options.folder / f"colorizer.{kind}" for kind in ("safetensors", "onnx"))
    model = networks.load_model(saved)
    more: dict[str, Any] = {}
    for path in options.found:
        more |= _part(path)
    model = replace(model, quality=model.quality | more)
    notes = options.notes.read_text(encoding="utf-8") if options.notes else ""
    if exported.is_file():
        content = load_onnx(exported)
        describe_onnx(content, model)
        with whole_file(exported) as partial:
            partial.write_bytes(content.SerializeToString(deterministic=True))
    networks.save_model(saved, model)
    with whole_file(options.folder / "model_card.md") as partial:
        partial.write_text(
            model_card(model, title=options.title, notes=notes), encoding="utf-8", newline="\n"
        )
    tell(f"{options.folder}: {', '.join(model.quality) or 'nothing'} written to its files and model_card.md")


def _part(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UngrayError(f"{path} is not a quality.json of evaluate ({error})") from None
    if not isinstance(found, dict) or not found.keys() <= set(PARTS):
        raise UngrayError(f"{path} is not a quality.json of evaluate, which may contain {', '.join(PARTS)}")
    return found
