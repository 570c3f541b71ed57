"""The Pareto table: every model at every saturation, compared with gray and with the first model's line."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from stages.evaluate.bootstrap import compare
from stages.evaluate.params import Params
from stages.evaluate.summaries import difference, interval_cells
from ungray.imaging.metrics import METRICS

GRAY = "gray"

LINE_WORDS = "against_line"


def method_name(model: str, factor: float) -> str:
    """Return the name under which ``model`` with a and b times ``factor`` is judged."""
    return f"{model} x{factor:g}"


def pareto_table(
    judged: pd.DataFrame, models: Sequence[str], factors: Sequence[float], params: Params
) -> pd.DataFrame:
    """Return a row for the gray photo and for every model at every saturation.

    Args:
        judged: what :func:`stages.evaluate.pareto.judge_saturations` returns.
        models: their names; the first one gives the line.
        factors: the saturations, in increasing order.
        params: bootstrap, and the number of groups that a verdict requires.

    Returns:
        model, saturation (0 for gray), photos, groups; colorfulness_ratio (mean colorfulness over the
        truth's) and ciede2000, ab_mae, psnr, means over photos. ciede2000_minus_gray and
        ciede2000_minus_line with their 95 % intervals (``_low``, ``_high``) and words (``against_gray``,
        ``against_line``); the line is what the first model has at the same colorfulness ratio, between two
        of its saturations, the gray photo being saturation 0; empty where the line does not reach.
        on_front: no other row has both a CIEDE2000 and a colorfulness ratio as good or better (nearer to 1).
    """
    points = [(GRAY, 0.0), *((model, factor) for model in models for factor in factors)]
    rows = []
    for model, factor in points:
        name = GRAY if model == GRAY else method_name(model, factor)
        ours = judged[judged["method"] == name]
        ratio = difference(judged, METRICS["colorfulness_ratio"], method=name, baseline=None, params=params)
        row: dict[str, Any] = {"model": model, "saturation": factor}
        row |= {"photos": len(ours), "groups": ours["group"].nunique()}
        row |= interval_cells("colorfulness_ratio", ratio) | {"ciede2000": round(ours["ciede2000"].mean(), 5)}
        if model != GRAY:
            found = difference(judged, METRICS["ciede2000"], method=name, baseline=GRAY, params=params)
            row |= interval_cells("ciede2000_minus_gray", found) | {"against_gray": found.word}
        rows.append(row | {figure: round(ours[figure].mean(), 5) for figure in ("ab_mae", "psnr")})
    table = pd.DataFrame(rows)
    lines = [_against_line(judged, table, row.model, row.saturation, params) for row in table.itertuples()]
    table = pd.concat([table, pd.DataFrame(lines, index=table.index)], axis=1)
    table["on_front"] = _on_front(table)
    return table


def _against_line(
    judged: pd.DataFrame, table: pd.DataFrame, model: Any, factor: Any, params: Params
) -> dict[str, Any]:
    name = "ciede2000_minus_line"
    empty: dict[str, Any] = {name: None, f"{name}_low": None, f"{name}_high": None, LINE_WORDS: ""}
    first = table["model"].iloc[1]  # after gray
    if model in (GRAY, first):
        return empty
    ours = judged[judged["method"] == method_name(model, factor)].set_index("file")
    line = table[table["model"].isin([GRAY, first])]
    ratios = line["colorfulness_ratio"].to_numpy()
    ratio = table.loc[
        (table["model"] == model) & (table["saturation"] == factor), "colorfulness_ratio"
    ].item()
    if not ratios[0] <= ratio <= ratios[-1] or (np.diff(ratios) <= 0).any():
        return empty
    upper = max(1, int(np.searchsorted(ratios, ratio)))
    share = (ratio - ratios[upper - 1]) / (ratios[upper] - ratios[upper - 1])
    names = [GRAY, *(method_name(first, known) for known in line["saturation"].iloc[1:])]
    below, above = (
        judged[judged["method"] == names[place]].set_index("file")["ciede2000"]
        for place in (upper - 1, upper)
    )
    found = compare(
        ours["ciede2000"] - ((1 - share) * below + share * above),
        ours["group"],
        better="lower",
        params=params,
    )
    return interval_cells(name, found) | {LINE_WORDS: found.word}


def _on_front(table: pd.DataFrame) -> list[bool]:
    points = np.column_stack([table["ciede2000"], (table["colorfulness_ratio"] - 1).abs()])
    return [not ((points <= point).all(axis=1) & (points < point).any(axis=1)).any() for point in points]


def markdown(table: pd.DataFrame) -> str:
    """Return the main columns of ``table`` as a table in Markdown."""
    first = table["model"].iloc[1]
    ratio, ciede2000 = METRICS["colorfulness_ratio"], METRICS["ciede2000"]
    heads = ["model", "ab times", ratio.title, ciede2000.title, "minus gray's", f"minus {first}'s line"]
    lines = [f"| {' | '.join(_plain(head) for head in heads)} |", f"|---|{'---:|' * (len(heads) - 1)}"]
    for row in table.to_dict("records"):
        cells = [
            f"{_plain(str(row['model']))}{' (on the front)' if row['on_front'] else ''}",
            "" if row["model"] == GRAY else f"{row['saturation']:g}",
            ratio.text(row["colorfulness_ratio"]),
            ciede2000.text(row["ciede2000"]),
            _interval(row, "ciede2000_minus_gray"),
            _interval(row, "ciede2000_minus_line"),
        ]
        lines.append(f"| {' | '.join(cells)} |")
    photos, groups = table["photos"].iloc[0], table["groups"].iloc[0]
    return "\n".join([*lines, "", f"{photos} photos in {groups} groups; 95 % intervals over groups."])


def _plain(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def _interval(row: dict[Any, Any], name: str) -> str:
    if pd.isna(row[name]):
        return ""
    mean = f"{row[name]:+.2f}"
    return (
        mean
        if pd.isna(row[f"{name}_low"])
        else f"{mean} ({row[f'{name}_low']:+.2f} to {row[f'{name}_high']:+.2f})"
    )
