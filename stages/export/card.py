"""The model card: a model's quality, training data, inputs and outputs, and what it is not for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

import pandas as pd

from stages.export.to_onnx import interface
from ungray.imaging.metrics import DECISIVE, METRICS, Metric, headline
from ungray.imaging.prediction import MOST_GAIN, SURE, Vivid
from ungray.networks import Model, parameter_count
from ungray.provenance import kept_nothing
from ungray.quality import METHODS, lines, ratio
from ungray.system.terminal import printable

USES = {"train": "training", "val": "validation", "test": "judging"}
SETTINGS = ("optimizer", "loss", "batch_size", "epochs", "lr", "schedule", "weight_decay", "seed")
MOST_KINDS = 50
"""A table of more kinds is too long for the card; the report has them."""

EXAMPLE = """\
import json, sys, numpy as np, onnxruntime
from PIL import Image
session = onnxruntime.InferenceSession(sys.argv[1])
about = json.loads(session.get_modelmeta().custom_metadata_map["interface"])
photo, step = Image.open(sys.argv[2]).convert("L"), about["multiple"]
scale = about["working_size"] / min(photo.size)
small = photo.resize([max(1, round(side * scale / step)) * step for side in photo.size])
y = [((np.asarray(image) / 255 + 0.055) / 1.055) ** 2.4 for image in (photo, small)]  # linear light
full, lightness = (np.where(each > 0.008856, 116 * np.cbrt(each) - 16, 903.3 * each) for each in y)
zeros = {name: np.zeros((1, put["shape"][1], *lightness.shape), "f") for name, put in about["inputs"].items()}
ab = session.run(["ab"], zeros | {"lightness": lightness[None, None].astype("f")})[0][0]
a, b = (np.asarray(Image.fromarray(channel).resize(photo.size)) for channel in ab)
f = np.stack([full + 16 + a * 0.232, full + 16, full + 16 - b * 0.58], -1) / 116
xyz = np.where(f > 0.2069, f**3, (f - 0.1379) * 0.12842) * [0.9505, 1, 1.0888]
rgb = xyz @ [[3.2406, -0.9689, 0.0557], [-1.5372, 1.8758, -0.204], [-0.4986, 0.0415, 1.057]]
rgb = np.where(rgb > 0.0031, 1.055 * rgb.clip(0.0031) ** (1 / 2.4) - 0.055, 12.92 * rgb)
Image.fromarray((255 * rgb.clip(0, 1)).round().astype("u1")).save(sys.argv[3])
"""
"""A program that colors a photo with only the ONNX file; a test runs the copy in a card."""

NOT_FOR = """\
- Finding out what color something was: the colors are plausible at best, never evidence.
- Photos unlike those above: the color of what the network never saw is a guess.
- People's skin, eyes and clothes where a wrong color would offend or mislead."""


def model_card(
    model: Model, *, title: str = "colorizer", manifest: pd.DataFrame | None = None, notes: str = ""
) -> str:
    """Return the card as Markdown.

    Args:
        model: the model, with its provenance and quality.
        title: title of the card.
        manifest: data/manifest.csv, with the sources and licenses of the photos.
        notes: Markdown written by hand, placed after the section on training.
    """
    network, provenance, quality = model.network, model.provenance, model.quality
    own = quality.get("test") or quality.get("val")
    takes = ", and takes hints" if network.takes_hints else ""
    paragraphs = [
        f"# Model card: {title}",
        f"A network that gives gray photos color{takes}: {network.ARCHITECTURE}, "
        f"{parameter_count(network) / 1e6:.2f} million parameters, short side {network.working_size} pixels. "
        "Written from the JSON in the model's file; do not edit.",
        "## How good it is",
        _sentences(lines(quality, provenance)) or "Not known: the model was not evaluated.",
        *([_metrics_table(own)] if own else []),
        *_sets("On photographs from elsewhere", "set", quality.get("elsewhere", [])),
        *_sets("By kind of photo", "kind", quality.get("kinds", [])),
        *_hints(quality.get("hints")),
        "## Trained on",
        *_trained(provenance, network.configuration, manifest),
        *([notes.strip()] if notes.strip() else []),
        *_vivid(provenance),
        "## In and out",
        *_interface(interface(network)),
        "## Not for",
        NOT_FOR,
    ]
    return "\n\n".join(paragraphs) + "\n"


def _sentences(said: Sequence[str]) -> str:
    return "\n".join(f"- {sentence[0].upper()}{sentence[1:]}." for sentence in said)


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    return "\n".join(
        f"| {' | '.join(cells)} |" for cells in ([*heads], ["---"] * len(heads), *map(list, rows))
    )


def _cell(text: str) -> str:
    """Return an untrusted name as the text of one table cell."""
    return printable(text).replace("|", "\\|")


def _metrics_table(own: Mapping[str, Any]) -> str:
    """Return one row per headline metric of the set ``own``, the model's test or val photos."""
    metrics = [metric for metric in headline() if metric.name in own["metrics"]]
    methods = [name for name in METHODS if name in own["metrics"][DECISIVE.name]["means"]]
    rows = [
        [metric.label, *(metric.text(own["metrics"][metric.name]["means"][name]) for name in methods)]
        for metric in metrics
    ]
    return _table(["metric", *(METHODS[name] for name in methods)], rows)


def _sets(title: str, head: str, sets: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return a section with one row per set, and the mean over sets."""
    if not sets or len(sets) > MOST_KINDS:
        return []
    heads, rows = [head, "photos"], [[_cell(str(one["name"])), f"{one['photos']:,}"] for one in sets]
    mean = ["mean over sets", f"{sum(one['photos'] for one in sets):,}"]
    for metric in headline():
        if all(metric.name in one["metrics"] for one in sets):
            for name, values, texts, form in _columns(metric, sets):
                heads.append(name)
                mean.append(format(fmean(values), form))
                for row, text in zip(rows, texts, strict=True):
                    row.append(text)
    return [f"### {title}", _table(heads, [*rows, *([mean] if len(sets) > 1 else [])])]


def _columns(
    metric: Metric, sets: Sequence[Mapping[str, Any]]
) -> list[tuple[str, list[float], list[str], str]]:
    """Return the columns of ``metric`` over ``sets``: head, numbers, their texts, format of their mean.

    The decisive metric has the model's mean, the gray photo's mean and their ratio. Other metrics have the
    ratio if lower is better, the difference from the gray photo if higher is better, else only the mean.
    """
    means = [one["metrics"][metric.name]["means"] for one in sets]
    ours, grays = ([mean[method] for mean in means] for method in ("model", "gray"))
    columns = []
    if metric is DECISIVE or metric.better == "neither":
        columns.append((metric.title, ours, [metric.text(value) for value in ours], metric.format))
    if metric is DECISIVE:
        columns.append(("gray's", grays, [metric.text(value) for value in grays], metric.format))
    if metric.better == "lower":
        ratios = [ratio(one, metric.name) for one in sets]
        columns.append((f"{metric.title} over gray's", ratios, [f"{value:.3f}" for value in ratios], ".3f"))
    if metric.better == "higher":
        gains = [our - gray for our, gray in zip(ours, grays, strict=True)]
        texts = [_with_interval(metric, one, gain) for one, gain in zip(sets, gains, strict=True)]
        unit = metric.unit and f", {metric.unit}"
        columns.append((f"{metric.title} minus gray's{unit} (95 %)", gains, texts, f"+{metric.format}"))
    return columns


def _with_interval(metric: Metric, one: Mapping[str, Any], gain: float) -> str:
    said = metric.text(gain, signed=True)
    found = one["metrics"][metric.name]["minus"].get("gray", {})
    if found.get("low") is None:
        return said
    return f"{said} ({' to '.join(metric.text(found[end], signed=True) for end in ('low', 'high'))})"


def _hints(hints: Mapping[str, Any] | None) -> list[str]:
    if not hints:
        return []
    psnr, difference = METRICS["psnr"], METRICS["ciede2000"]
    rows = []
    for row in hints["rows"]:
        ends = " to ".join(psnr.text(row[f"over_none_{end}"], signed=True) for end in ("low", "high"))
        rows.append(
            [
                str(row["hints"]),
                psnr.text(row["psnr_model"]),
                f"{psnr.text(row['psnr_over_none'], signed=True)} ({ends})",
                psnr.text(row["psnr_diffusion"]),
                difference.text(row["ciede2000_model"]),
                difference.text(row["ciede2000_diffusion"]),
                "" if row["at_hints"] is None else difference.text(row["at_hints"]),
            ]
        )
    heads = ["hints", f"{psnr.title}, {psnr.unit}", "gain over none (95 %)", f"diffusion's {psnr.title}"]
    heads += [difference.title, "diffusion's", "at the hints"]
    gray = hints["rows"][0]
    return [
        "### With hints",
        f"At random places of {hints['photos']} photos, each with the true color there; diffusion is the "
        "same hints spread over the gray photo with no network (Levin, Lischinski, Weiss 2004).",
        _table(heads, rows),
        f"(Gray: {psnr.text(gray['psnr_gray'])} {psnr.unit}, {difference.text(gray['ciede2000_gray'])}.)",
    ]


def _trained(
    provenance: Mapping[str, Any], configuration: Mapping[str, Any], manifest: pd.DataFrame | None
) -> list[str]:
    if not {"train", "photos", "groups", "queries", "steps", "precision", "torch"} <= provenance.keys():
        return ["Its file does not say."]
    counts, groups = provenance["photos"], provenance["groups"]
    split = ", ".join(
        f"{counts[name]:,} photos in {groups[name]:,} groups for {use}" for name, use in USES.items()
    )
    learned = "Nothing of this training was kept. " if kept_nothing(provenance) else ""
    settings = ", ".join(f"{name} {provenance['train'][name]}" for name in SETTINGS)
    apart = ""
    if manifest is not None:  # for a model from elsewhere this is not known
        apart = (
            " No test photo was in training, nor any crop, turned copy or near-duplicate that was recognized "
            "as one."
        )
    paragraphs = [
        f"{learned}{_sources(manifest)}{split}.{apart}",
        f"Queries: {printable(', '.join(provenance['queries']))}.",
    ]
    if manifest is not None:
        kept = manifest.loc[manifest["status"] == "kept", "license"]
        stated = "; ".join(sorted({license for license in kept if license}))
        none = "none; assume that all rights are reserved"
        paragraphs.append(f"Licenses as the sources state them: {printable(stated or none)}.")
    return [
        *paragraphs,
        f"{_start(provenance, configuration)}, {settings}; {provenance['steps']} steps in "
        f"{provenance['precision']}, {_threads(provenance)}torch {provenance['torch']}.",
    ]


def _sources(manifest: pd.DataFrame | None) -> str:
    if manifest is None:
        return ""
    kept = manifest.loc[manifest["status"] == "kept", "source"].value_counts()
    return f"{', '.join(f'{count} files from {name}' for name, count in kept.items())}; after filtering "


def _threads(provenance: Mapping[str, Any]) -> str:
    numbers = provenance.get("threads") or []
    return " and then ".join(map(str, numbers)) + " threads a process, " if numbers else ""


def _vivid(provenance: Mapping[str, Any]) -> list[str]:
    vivid = provenance.get("vivid")
    if not vivid:
        return []
    exponent = vivid.get("exponent", 0.0)
    if not Vivid(vivid["saturation"], exponent).changes_colors:
        return ["## Vivid", "The same as the plain colors: stronger ones were worse on the val photos."]
    metric = METRICS["ciede2000"]
    return [
        "## Vivid",
        f"Vivid colors are those above times {vivid['saturation']:.2f}"
        + (f" (chroma / {SURE:g})^{exponent:g}, at most {MOST_GAIN:g}" if exponent else "")
        + ". On val photos they are "
        f"{vivid['colorfulness_ratio']:.2f} times as colorful as the truth, at a {metric.title} of "
        f"{metric.text(vivid['ciede2000'])}; the gray photo's is {metric.text(vivid['ciede2000_gray'])}.",
    ]


def _start(provenance: Mapping[str, Any], configuration: Mapping[str, Any]) -> str:
    start = provenance.get("start")
    if not start or start["new"] == "all":
        weights = configuration.get("weights", "random")
        return "From nothing" if weights == "random" else f"From an encoder pretrained on {weights}"
    new = f", new layers: {', '.join(start['new'])}" if start["new"] else ""
    mean = provenance.get("averaged")
    averaged = (
        f", then averaged: {mean['share']:g} of these weights, {1 - mean['share']:g} of those of "
        f"{mean['sha256'][:16]}"
        if mean
        else ""
    )
    return f"From the base model (SHA-256 {start['sha256'][:16]}{new}){averaged}"


def _interface(about: Mapping[str, Any]) -> list[str]:
    rows = [
        [f"{way} `{name}`", put["type"], " x ".join(map(str, put["shape"])), put["meaning"]]
        for way, puts in (("in", about["inputs"]), ("out", about["outputs"]))
        for name, put in puts.items()
    ]
    return [
        f"Inputs and outputs of `colorizer.onnx`: height and width are multiples of {about['multiple']}, and "
        f"best with a short side of {about['working_size']} pixels. The same is in its metadata, as "
        "`interface`.",
        _table(["tensor", "type", "shape", "what it is"], rows),
        "Without ungray, `python color.py colorizer.onnx photo.jpg colored.png` (`ungray` itself keeps edges "
        "sharper, reads more formats and takes hints):",
        f"```python\n{EXAMPLE}```",
    ]
