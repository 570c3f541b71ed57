"""The stage's outputs: metrics, tables, grids, charts and the report."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd

from stages.evaluate.charts import draw_charts
from stages.evaluate.origins import origins_table, photo_names
from stages.evaluate.page import page
from stages.evaluate.params import Params
from stages.evaluate.pictures import draw_grids
from stages.evaluate.run import run
from stages.evaluate.summaries import terciles_table
from stages.storage import tables
from ungray import networks
from ungray.errors import UngrayError
from ungray.system.files import whole_file, whole_folder
from ungray.system.terminal import tell

PREPARED, REPORTS = Path("data/prepared"), Path("reports")
TRAINED = REPORTS / "train/plots"


def judge_and_write(params: Params, *, stream: str) -> None:
    """Judge data/models/colorizer.safetensors on the test photos of data/prepared; write to reports.

    ``stream`` is the address of the shards, or empty; see :class:`stages.params.Machine`.

    Raises:
        UngrayError: an input is missing; the message says what makes it.
    """
    index = tables.read_table(PREPARED / "index.csv", made_by="prepare")
    manifest = tables.read_table(Path("data/manifest.csv"), made_by="scrape")
    verdicts = tables.read_table(Path("data/verdicts.csv"), made_by="filter").drop_duplicates("sha256")
    curves = {name: _curve(name) for name in ("train", "val", "gray")}
    model = networks.load_model(Path("data/models/colorizer.safetensors"))
    base = Path(params.base) / "colorizer.safetensors"
    base_model = networks.load_model(base) if base.is_file() else None
    found = run(
        params,
        model,
        base_model,
        index=index,
        pixels=(verdicts["width"] * verdicts["height"]).set_axis(verdicts["sha256"].str[:16]),
        prepared=PREPARED,
        stream=stream,
    )
    tables.write_table(found.photos.round(5), REPORTS / "photos.csv")
    tables.write_table(found.figures, REPORTS / "figures.csv")
    tables.write_table(found.kinds["query"], REPORTS / "queries.csv")
    tables.write_table(terciles_table(found.kinds), REPORTS / "terciles.csv")
    tell("evaluate: drawing grids and charts")
    names = photo_names(manifest)
    with whole_folder(REPORTS / "grids") as folder:
        draw_grids(found.photos, found.methods, PREPARED, folder, rows=params.grid_rows, names=names)
    with whole_folder(REPORTS / "charts") as folder:
        draw_charts(folder, queries=found.kinds["query"], histograms=found.histograms, curves=curves)
    with whole_file(REPORTS / "report.html") as partial:
        content = page(
            found,
            model,
            params,
            origins_table(manifest, index),
            prepared=PREPARED,
            reports=REPORTS,
            learning=TRAINED / "images/learning.jpg",
            names=names,
            queries=dict(zip(index["file"], index["query"], strict=True)),
            base=base_model,
        )
        partial.write_text(content, encoding="utf-8", newline="\n")
    for name, values in (("metrics", found.metrics), ("quality", found.quality)):
        with whole_file(REPORTS / f"{name}.json") as partial:
            partial.write_text(json.dumps(values, indent=2) + "\n")
    for sentence in found.said:
        tell(f"evaluate: {sentence}")
    tell("evaluate: open reports/report.html to see it all")


def _curve(name: str) -> pd.DataFrame:
    path = TRAINED / f"metrics/loss/{name}.tsv"
    try:
        return pd.read_csv(path, sep="\t")
    except FileNotFoundError:
        raise UngrayError(f"{path} not found; `dvc repro --force train` makes it") from None
