"""Judges models on the test photos: everything from which tables, pictures and the report are made."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from stages.evaluate import candidates, perceptual, report
from stages.evaluate.judge import judge
from stages.evaluate.methods import Colorize, mean_ab, methods
from stages.evaluate.params import Params
from stages.evaluate.reasons import Reason, correlation, worst
from stages.evaluate.summaries import KINDS, figures_table, kinds_table, with_terciles
from stages.evaluate.unlikeness import Encoder, Features, with_encoder
from stages.storage.shards import Shards
from ungray.errors import UngrayError
from ungray.networks import Model
from ungray.quality import METHODS, lines
from ungray.system.terminal import tell


@dataclass(frozen=True)
class Findings:
    """The results of judging.

    ``quality``, see :mod:`ungray.quality`: test and kinds; ``said``, its sentences;
    ``metrics``, the content of ``reports/metrics.json``; the ``methods`` as judged; ``photos``, one row per
    test photo and method; ``figures``, see :func:`~stages.evaluate.summaries.figures_table`; ``kinds``, the
    tables of :func:`~stages.evaluate.summaries.kinds_table` by query, chroma_tercile and size_tercile; the ab
    ``histograms`` of methods and truth; the ``worst`` photos with what is measured of them; the ``encoder``
    that measured how unlike the train photos they are, and the rank ``correlation`` of that and the error,
    both None if there is none.
    """

    quality: dict[str, Any]
    said: list[str]
    metrics: dict[str, Any]
    methods: dict[str, Colorize]
    photos: pd.DataFrame
    figures: pd.DataFrame
    kinds: dict[str, pd.DataFrame]
    histograms: dict[str, NDArray[np.float64]]
    worst: list[Reason]
    encoder: Encoder | None
    correlation: float | None


def run(
    params: Params,
    model: Model,
    base: Model | None,
    *,
    index: pd.DataFrame,
    pixels: pd.Series,
    prepared: Path,
    stream: str = "",
) -> Findings:
    """Judge ``model``, and ``base`` if there is one, on the test photos of ``index`` in ``prepared``.

    ``pixels`` is the number of pixels of each original photo by the first 16 digits of its SHA-256.
    ``stream`` is where shards of train photos are, if not in ``prepared``.

    Raises:
        UngrayError: there is no test photo, or FID or LPIPS is requested and not available.
    """
    originals = index[index["copy"] == 0]
    every_test, train = (originals[originals["split"] == split] for split in ("test", "train"))
    if every_test.empty:
        raise UngrayError(f"{prepared} has no test photos; `dvc repro --force prepare` makes them again")
    test = every_test[~candidates.known_to_base(every_test)]
    if test.empty:
        raise UngrayError(
            f"the base model was trained on all {len(every_test)} test photos of {prepared}, so none can "
            "judge; add photos that it does not know"
        )
    measures = perceptual.load(params, photos=len(test))
    every_train = index[index["split"] == "train"]
    shards = Shards(every_train, stream or str(prepared)) if stream or "shard" in index else None
    tell(f"evaluate: mean color of {len(train)} train photos")
    # The base model's encoder before the model's own: it is the same whatever was trained.
    encoder = with_encoder({"base": base, "model": model})
    features = Features(encoder[1], train["file"]) if encoder else None
    mean = mean_ab(train, prepared, shards=shards, look=features.look if features else None)
    unlike = features.compare(test, prepared) if features else None
    judged_methods = methods(model, base=base, mean=mean)
    tell(f"evaluate: judging {', '.join(METHODS[name] for name in judged_methods)}")
    judged = judge(judged_methods, model.network, test=test, prepared=prepared)
    photos = with_terciles(judged.photos, test.set_index("file")["photo"].map(pixels))
    seen = {
        name: {
            method: perceptual.figure(measure, colorize, test, prepared)
            for method, colorize in judged_methods.items()
        }
        for name, measure in measures.items()
    }
    tell("evaluate: intervals over groups of photos")
    figures = figures_table(photos, params, perceptual=seen)
    kinds = {kind: kinds_table(photos, kind, params) for kind in KINDS}
    known = report.known_to_base(every_test)
    test_set = report.test_set(photos, figures, params, known_to_base=known)
    quality = {"test": test_set, "kinds": report.kind_sets(kinds["query"], "query")}
    return Findings(
        quality=quality,
        said=lines(quality, model.provenance),
        metrics=report.digest(test_set, model.provenance),
        methods=judged_methods,
        photos=photos,
        figures=figures,
        kinds=kinds,
        histograms=judged.histograms,
        worst=worst(photos, train, unlike, count=params.grid_rows),
        encoder=Encoder(encoder[0], len(train), features.compared) if encoder and features else None,
        correlation=correlation(photos, unlike) if unlike is not None else None,
    )
