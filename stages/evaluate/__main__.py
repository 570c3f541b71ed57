"""Judge data/models/colorizer.safetensors on the test photos; write metrics, tables, pictures and a report.

Examples:

  python -m stages.evaluate
  dvc metrics show
  dvc metrics diff                                    the workspace vs. the last commit
  python -m stages.evaluate compare A B --photos DIR  two models, or another program's colorings
  python -m stages.evaluate pareto A B C               error against colorfulness, at several saturations
  python -m stages.evaluate sets A slides=DIR sea=DIR a model on photographs from elsewhere, set by set
  python -m stages.evaluate hints A --photos DIR      how much known colors at some points help
"""

import json
from pathlib import Path

import pandas as pd

from stages.command import run_stage
from stages.evaluate.charts import draw_charts
from stages.evaluate.compare import compare
from stages.evaluate.film import write_film
from stages.evaluate.hints import hints
from stages.evaluate.origins import origins_table, photo_names
from stages.evaluate.page import page
from stages.evaluate.params import Params
from stages.evaluate.pareto import pareto
from stages.evaluate.pictures import draw_grids
from stages.evaluate.run import run
from stages.evaluate.sets import sets
from stages.evaluate.summaries import terciles_table
from stages.params import Machine, load
from stages.storage import tables
from ungray import networks
from ungray.errors import UngrayError
from ungray.system.files import whole_file, whole_folder
from ungray.system.terminal import tell

PREPARED, REPORTS = Path("data/prepared"), Path("reports")
TRAINED = REPORTS / "train/plots"


def main() -> None:
    """Run the stage."""
    params = load("evaluate", Params)
    index = tables.read(PREPARED / "index.csv", made_by="prepare")
    manifest = tables.read(Path("data/manifest.csv"), made_by="scrape")
    verdicts = tables.read(Path("data/verdicts.csv"), made_by="filter").drop_duplicates("sha256")
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
        stream=load("machine", Machine).stream,
    )
    tables.write(found.photos.round(5), REPORTS / "photos.csv")
    tables.write(found.figures, REPORTS / "figures.csv")
    tables.write(found.kinds["query"], REPORTS / "queries.csv")
    tables.write(terciles_table(found.kinds), REPORTS / "terciles.csv")
    tell("evaluate: drawing grids and charts")
    names = photo_names(manifest)
    with whole_folder(REPORTS / "grids") as folder:
        draw_grids(found.photos, found.methods, PREPARED, folder, rows=params.grid_rows, names=names)
    with whole_folder(REPORTS / "charts") as folder:
        draw_charts(folder, queries=found.kinds["query"], histograms=found.histograms, curves=curves)
    write_film(TRAINED / "images/grid", REPORTS / "film.webp")
    with whole_file(REPORTS / "report.html") as partial:
        content = page(
            found,
            model,
            params,
            origins_table(manifest, index),
            prepared=PREPARED,
            reports=REPORTS,
            names=names,
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


if __name__ == "__main__":
    run_stage(
        "evaluate",
        main,
        doc=__doc__,
        tools={"compare": compare, "pareto": pareto, "hints": hints, "sets": sets},
    )
