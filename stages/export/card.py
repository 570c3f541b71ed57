"""The model card: what a model was trained on, how good it is beside gray, and what it is not for."""

from __future__ import annotations

from typing import Any

import pandas as pd

from ungray.provenance import kept_nothing
from ungray.system.terminal import printable

ROWS = {
    "ciede2000": "CIEDE2000, mean (lower is better)",
    "ciede2000_p95": "CIEDE2000, 95th percentile of pixels",
    "ab_mae": "ab, mean absolute error",
    "psnr": "PSNR on RGB, dB (higher is better)",
    "ssim": "SSIM on RGB (higher is better)",
    "colorfulness_ratio": "colorfulness over the truth's (1 is equal)",
}
USES = {"train": "training", "val": "validation", "test": "judging"}
SETTINGS = ("optimizer", "loss", "batch_size", "epochs", "lr", "schedule", "weight_decay", "seed")
NOT_FOR = """\
- Finding out what color something was: the colors are plausible at best, never evidence.
- Photos unlike those above: the color of what the network never saw is a guess.
- People's skin, eyes and clothes where a wrong color would offend or mislead."""
COLUMNS = {"model": "model", "base": "base model", "gray": "gray photo", "mean_ab": "mean color"}


def model_card(
    provenance: dict[str, Any],
    metrics: dict[str, Any],
    figures: pd.DataFrame,
    manifest: pd.DataFrame,
    *,
    configuration: dict[str, Any],
    parameters: int,
) -> str:
    """Return the card as Markdown.

    Args:
        provenance: of the model.
        metrics: reports/metrics.json.
        figures: reports/figures.csv.
        manifest: data/manifest.csv.
        configuration: of the network.
        parameters: how many numbers it learns.
    """
    train, counts, groups = provenance["train"], provenance["photos"], provenance["groups"]
    kept = manifest[manifest["status"] == "kept"]
    sources = ", ".join(f"{count} files from {name}" for name, count in kept["source"].value_counts().items())
    licenses = sorted({license for license in kept["license"] if license})
    rows = {(row["figure"], row["method"]): row for row in figures.to_dict("records")}
    columns = {method: title for method, title in COLUMNS.items() if method in set(figures["method"])}
    table = [
        f"| {title} | "
        + " | ".join(f"{round(rows[figure, method]['mean'], 4):.4g}" for method in columns)
        + " |"
        for figure, title in ROWS.items()
    ]
    decisive = rows["ciede2000", "model"]
    verdict = "\n".join(_verdict(metrics, decisive, name) for name in ("gray", "base") if name in columns)
    nothing = kept_nothing(provenance)
    learned = "Nothing of this training was kept. " if nothing else ""
    unchanged = f"**{nothing[0].upper()}{nothing[1:]}.**\n" if nothing else ""
    start, architecture = _start(provenance, configuration), configuration["architecture"]
    split = ", ".join(
        f"{counts[name]} photos in {groups[name]} groups for {use}" for name, use in USES.items()
    )
    stated = "; ".join(licenses) if licenses else "none; assume that all rights are reserved"
    settings = ", ".join(f"{name} {train[name]}" for name in SETTINGS)
    paragraphs = [
        "# Model card: colorizer",
        f"A network that gives gray photos color: {architecture}, {parameters / 1e6:.2f} million "
        f"parameters, short side {train['working_size']} pixels. Written by the export stage; do not edit.",
        "## Verdict",
        f"{unchanged}{verdict}{_left_out(metrics)}",
        "\n".join([f"| figure | {' | '.join(columns.values())} |", f"|---|{'---|' * len(columns)}", *table]),
        "## Trained on",
        f"{learned}{sources}; after filtering {split}. No test photo was in training, nor any crop, turned "
        "copy or near-duplicate that was recognized as one.",
        f"Queries: {printable(', '.join(provenance['queries']))}.",
        f"Licenses as the sources state them: {printable(stated)}.",
        f"{start}, {settings}; {provenance['steps']} steps in {provenance['precision']}, "
        f"{_threads(provenance)}torch {provenance['torch']}.",
        *_vivid(provenance),
        "## Not for",
        NOT_FOR,
    ]
    return "\n\n".join(paragraphs) + "\n"


def _left_out(metrics: dict[str, Any]) -> str:
    count = metrics.get("known_to_base")
    if count is None:
        return "\nWhich test photos the base model was trained on is not known."
    return f"\nLeft out were {count} test photos that the base model was trained on." if count else ""


def _threads(provenance: dict[str, Any]) -> str:
    numbers = provenance.get("threads") or []
    return " and then ".join(map(str, numbers)) + " threads a process, " if numbers else ""


def _vivid(provenance: dict[str, Any]) -> list[str]:
    vivid = provenance.get("vivid")
    if not vivid:
        return []
    # Models of earlier versions spell it so.
    ratio = vivid.get("colorfulness_ratio", vivid.get("colourfulness_ratio"))
    if round(vivid["saturation"], 2) == 1:
        return ["## Vivid", "The same colors as without: livelier ones were not found right on val photos."]
    return [
        "## Vivid",
        f"Vivid colors are those above times {vivid['saturation']:.2f}. On val photos they are "
        f"{ratio:.2f} times as colorful as the truth, at a CIEDE2000 of "
        f"{vivid['ciede2000']:.2f}; the gray photo's is {vivid['ciede2000_gray']:.2f}.",
    ]


def _start(provenance: dict[str, Any], configuration: dict[str, Any]) -> str:
    start = provenance.get("start")
    if not start or start["new"] == "all":
        weights = configuration.get("weights", "random")
        return "From nothing" if weights == "random" else f"From an encoder that knows {weights}"
    new = f", new layers: {', '.join(start['new'])}" if start["new"] else ""
    return f"From the base model (SHA-256 {start['sha256'][:16]}{new})"


def _verdict(metrics: dict[str, Any], decisive: dict[Any, Any], baseline: str) -> str:
    mean, low, high = (decisive[f"minus_{baseline}{end}"] for end in ("", "_low", "_high"))
    interval = ""
    if not pd.isna(low):
        interval = f"95 % interval of the difference {low:+.2f} to {high:+.2f}; "
    return (
        f"Beside the {COLUMNS[baseline]}: **{decisive[f'against_{baseline}']}**. CIEDE2000 is "
        f"{abs(mean):.2f} {'lower' if mean < 0 else 'higher'} than the {COLUMNS[baseline]}'s ({interval}"
        f"lower is better), on {metrics['photos']} test photos in {metrics['groups']} groups."
    )
