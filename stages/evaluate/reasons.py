"""Why the worst photos are likely the worst: what can be measured of them, next to all other test photos."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from ungray.imaging.metrics import DECISIVE

HIGH = 0.8
"""A photo is called unlike, or its color strong, if it is beyond this share of the other test photos."""

FEW = 3
"""A query with fewer train photos than this is called rare."""

ENOUGH = 5
"""With fewer test photos no photo is ranked among them."""


@dataclass(frozen=True)
class Reason:
    """One of the worst photos with what was measured of it."""

    file: str
    query: str
    same_query: int
    """Number of train photos of its query."""
    error: float
    gray: float
    """The decisive metric of the model's coloring, and of the gray photo."""
    chroma: float
    """Of the truth, mean over its pixels, in Lab units."""
    chroma_rank: float
    """Share of the other test photos with less."""
    unlikeness: float | None
    """See :mod:`stages.evaluate.unlikeness`; None if no network has an encoder for it."""
    unlikeness_rank: float | None
    nearest: str
    """The train photo that is most like it, its file in data/prepared."""

    @property
    def sentences(self) -> list[str]:
        """What likely made it hard, the likeliest first; one that says so if nothing was found."""
        found = []
        if self.same_query < FEW:
            found.append(f"{self.same_query or 'no'} train photo{'s' * (self.same_query != 1)} of its query")
        if self.unlikeness_rank is not None and self.unlikeness_rank >= HIGH:
            found.append("unlike the train photos")
        if self.chroma_rank >= HIGH:
            found.append("strong colors, which a model in doubt pales")
        if (self.error >= self.gray) == (DECISIVE.better == "lower"):
            found.append("wrong colors: further from the truth than none")
        return found or ["none of what is measured here sets it apart"]


def worst(
    judged: pd.DataFrame, train: pd.DataFrame, unlike: pd.DataFrame | None, *, count: int
) -> list[Reason]:
    """Return the ``count`` worst test photos by the decisive metric, the worst first.

    Args:
        judged: one row per test photo and method.
        train: the rows of index.csv that are train photos, without their copies.
        unlike: a row per test photo, see :meth:`stages.evaluate.unlikeness.Features.compare`.
        count: how many.
    """
    ours = judged[judged["method"] == "model"].set_index("file")
    gray = judged[judged["method"] == "gray"].set_index("file")[DECISIVE.name]
    order = ours.reset_index().sort_values(
        [DECISIVE.name, "file"], ascending=[DECISIVE.better == "lower", True]
    )
    queries = train["query"].value_counts()
    chroma_ranks = _ranks(ours["chroma_truth"])
    unlike_ranks = _ranks(unlike["unlikeness"]) if unlike is not None else None
    return [
        Reason(
            file=file,
            query=str(ours.loc[file, "query"]),
            same_query=int(queries.get(ours.loc[file, "query"], 0)),
            error=float(ours.loc[file, DECISIVE.name]),
            gray=float(gray[file]),
            chroma=float(ours.loc[file, "chroma_truth"]),
            chroma_rank=float(chroma_ranks[file]),
            unlikeness=float(unlike.loc[file, "unlikeness"]) if unlike is not None else None,
            unlikeness_rank=float(unlike_ranks[file]) if unlike_ranks is not None else None,
            nearest=str(unlike.loc[file, "nearest"]) if unlike is not None else "",
        )
        for file in order["file"].tail(count)[::-1]
    ]


def correlation(judged: pd.DataFrame, unlike: pd.DataFrame) -> float | None:
    """Return Spearman's rank correlation of error and unlikeness over the test photos; None if undefined."""
    ours = judged[judged["method"] == "model"].set_index("file")[DECISIVE.name].rank()
    theirs = unlike["unlikeness"].reindex(ours.index).rank()
    if len(ours) < ENOUGH or ours.nunique() < 2 or theirs.nunique() < 2:
        return None
    return float(ours.corr(theirs))


def _ranks(values: pd.Series) -> pd.Series:
    """Return for each value the share of the others that are lower; 0 if there are too few to rank."""
    if len(values) < ENOUGH:
        return values * 0.0
    return (values.rank(method="min") - 1) / (len(values) - 1)
