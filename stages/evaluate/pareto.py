"""The Pareto front: color error of models vs. their colorfulness."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pandas as pd

from stages.evaluate.candidates import by_name, groups_of, load_photo, prepared_test_photos, without_known
from stages.evaluate.options import named, tool_parser
from stages.evaluate.params import Params
from stages.evaluate.pareto_chart import draw_pareto
from stages.evaluate.pareto_table import GRAY, markdown, method_name, pareto_table
from stages.params import load
from stages.storage import tables
from ungray.colorizer import Colorizer
from ungray.errors import UngrayError
from ungray.imaging import duplicates, metrics
from ungray.imaging.color import Rgb
from ungray.system.progress import Bar
from ungray.system.terminal import tell

DOC = """\
Judge every MODEL on the same photos, as it is and with its a and b times each constant of --saturation, and
show CIEDE2000 against colorfulness as a ratio to the truth's. More color times a constant is the trivial
remedy against pale colors: the first MODEL with its constants is the line that every other one is
compared with, at the same colorfulness. Writes pareto.csv and pareto.png and prints the table. Examples:

  python -m stages.evaluate pareto runs/l1/colorizer.safetensors runs/classes/colorizer.safetensors
  python -m stages.evaluate pareto L1=old.safetensors GAN=new.safetensors --photos ~/photos --saturation 1 2
"""

PREPARED = Path("data/prepared")

MOST_SATURATION = 10.0

JUDGED = ("ciede2000", "ab_mae", "psnr", "colorfulness", "colorfulness_truth")
"""The metrics of each coloring."""


def pareto(arguments: Sequence[str]) -> None:
    """Run the tool ``python -m stages.evaluate pareto``."""
    parser = tool_parser("pareto", DOC, output="reports")
    parser.add_argument(
        "models", metavar="MODEL", nargs="+", help="a model (.safetensors), named by its folder; or NAME=path"
    )
    parser.add_argument(
        "--photos", metavar="DIR", type=Path, help="photos in true color (the workflow's test photos)"
    )
    parser.add_argument(
        "--saturation", metavar="FACTOR", type=float, nargs="+", default=[1.0, 1.3, 1.6, 2.0],
        help="factors of a and b (1 1.3 1.6 2)",
    )  # fmt: skip
    options = parser.parse_args(arguments)
    for factor in options.saturation:
        if not 0 < factor <= MOST_SATURATION:
            raise UngrayError(
                f"--saturation {factor:g} is not allowed: it must be over 0 and at most {MOST_SATURATION:g}"
            )
    params = load("evaluate", Params)
    paths_of_models = named(options.models, name_of=lambda path: path.parent.name, taken={GRAY})
    models = {name: Colorizer.load(path) for name, path in paths_of_models.items()}
    paths = prepared_test_photos(PREPARED) if options.photos is None else by_name(options.photos)
    paths = without_known(paths)
    factors = sorted(set(options.saturation))
    judged = judge_saturations(models, factors, paths, short_side=options.short_side)
    table = pareto_table(judged, list(models), factors, params)
    tables.write_table(table, options.output / "pareto.csv")
    draw_pareto(options.output / "pareto.png", table)
    tell(*markdown(table).split("\n"))
    tell(f"{options.output}/pareto.png is the chart, {options.output}/pareto.csv has the intervals")


def judge_saturations(
    models: Mapping[str, Colorizer],
    factors: Sequence[float],
    paths: Mapping[str, Path],
    *,
    short_side: int,
) -> pd.DataFrame:
    """Judge every model at every saturation, and the gray photo; one photo and coloring in memory at a time.

    Args:
        models: by name.
        factors: what a and b are multiplied by.
        paths: the photos, by name.
        short_side: pixels at which photos are judged at most; 0 leaves them as they are.

    Returns:
        One row per photo and method (see :func:`~stages.evaluate.pareto_table.method_name`): file, group (see
        :func:`~stages.evaluate.candidates.groups_of`), method, and :data:`JUDGED`.

    Raises:
        UngrayError: a photo cannot be read, is too small, or has no color to judge by.
    """
    rows, signatures = [], []
    for file, path in Bar(paths.items(), desc="pareto", unit="photo"):
        photo = load_photo(path, short_side=short_side)
        truth = photo.truth
        signatures.append(duplicates.signature(truth))
        for name, colored in _colorings(models, factors, photo.gray):
            rows.append({"file": file, "method": name} | metrics.judge(colored, truth, names=JUDGED))
    table = pd.DataFrame(rows)
    groups = groups_of(list(paths.values()), signatures)
    table.insert(1, "group", table["file"].map(dict(zip(paths, groups, strict=True))))
    return table


def _colorings(
    models: Mapping[str, Colorizer], factors: Sequence[float], gray: Rgb
) -> Iterator[tuple[str, Rgb]]:
    """Yield the name of each method and its coloring of a gray photo, uint8 sRGB (height, width, 3)."""
    yield GRAY, gray
    for name, colorizer in models.items():
        prediction = colorizer.predict(gray)
        for factor in factors:
            yield method_name(name, factor), prediction.render(saturation=factor)
