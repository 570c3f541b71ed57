"""The tool ``python -m stages.evaluate board``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from stages.evaluate.board import collection
from stages.evaluate.board.collection import Source
from stages.evaluate.board.judging import GRAY, PhotoSet, judge, judge_gray, photo_set
from stages.evaluate.board.page import page
from stages.evaluate.board.table import Row, as_text, board_table, judged_photos, sentences
from stages.evaluate.candidates import load_photo
from stages.evaluate.options import named, tool_parser
from stages.evaluate.origins import photo_names
from stages.evaluate.params import Params
from stages.params import load
from stages.storage import tables
from ungray.errors import UngrayError
from ungray.imaging import duplicates
from ungray.imaging.metrics import DECISIVE
from ungray.system.files import main_checkout, whole_file
from ungray.system.terminal import tell

PREPARED, MANIFEST = Path("data/prepared"), Path("data/manifest.csv")

DOC = """\
Judge every model that was trained here on the same photos, the prepared test photos or those of --photos:
the workspace's, those of DVC's experiments, branches and tags, the winners of searches, the base model, and
what is named: models, or folders with the colorings that any other program made, under the photos' names.
What was judged before is not judged again. Photos that the base model was trained on are left out; a model
that was trained on others is marked and cannot be the best. Writes a page, board.html, and tables. Examples:

  python -m stages.evaluate board
  python -m stages.evaluate board deoldify=~/deoldify/out --photos ~/photos
"""


def board(arguments: Sequence[str]) -> None:
    """Run the tool ``python -m stages.evaluate board``."""
    parser = tool_parser("board", DOC, output="reports/board")
    parser.add_argument(
        "others", metavar="NAME=PATH", nargs="*", help="a model, or a folder of colorings, of somebody else"
    )
    parser.add_argument(
        "--photos", metavar="DIR", type=Path, help="photos in true color (the workflow's test photos)"
    )
    options = parser.parse_args(arguments)
    params = load("evaluate", Params)
    others = named(options.others, name_of=lambda path: path.name, taken={GRAY})
    given = [collection.of_file(path, name) for name, path in others.items()]
    base = Path(params.base)
    test = photo_set(
        options.photos,
        prepared=PREPARED,
        short_side=options.short_side,
        base_hashes=collection.base_hashes(base),
    )
    top = main_checkout(Path.cwd())
    tell("board: looking for models in DVC's experiments, branches and tags")
    found, pending = collection.of_repository(top)
    sources = collection.merged([*found, *collection.of_searches(top), *collection.of_base(base), *given])
    if not sources:
        raise UngrayError("there is no model yet; `dvc repro` trains one, `dvc pull` fetches the base model")
    gray = judge_gray(test)
    rows = _with_known([_row(source, test) for source in sources], test)
    judged = judged_photos(rows, gray, test)
    table = board_table(rows, judged, params)
    said = sentences(table, test, float(gray.photos[DECISIVE.name].mean()), params)
    truths = [load_photo(test.paths[name], short_side=192).truth for name in test.shown]
    tables.write_table(judged.round(5), options.output / "photos.csv")
    tables.write_table(table, options.output / "board.csv")
    with whole_file(options.output / "board.html") as partial:
        content = page(
            table,
            rows,
            gray,
            truths,
            test=test,
            names=_photo_names(MANIFEST) if options.photos is None else {},
            params=params,
            said=said,
            pending=pending,
            folder=options.output,
        )
        partial.write_text(content, encoding="utf-8", newline="\n")
    tell(*as_text(table).split("\n"))
    for sentence in said:
        tell(f"board: {sentence}")
    if pending:
        tell(f"board: without a model yet: {', '.join(pending)}")
    tell(f"board: {options.output}/board.html shows it; board.csv has the table, photos.csv every photo")


def _photo_names(manifest: Path) -> Mapping[str, str]:
    return photo_names(tables.read_table(manifest, made_by="scrape")) if manifest.is_file() else {}


def _row(source: Source, test: PhotoSet) -> Row:
    try:
        return Row(source, judge(source, test))
    except UngrayError as error:
        return Row(source, None, missing=source.missing or str(error))


def _with_known(rows: Sequence[Row], test: PhotoSet) -> list[Row]:
    """Return ``rows`` with the number of test photos that each model was trained on, as far as is known."""
    hashes: dict[str, duplicates.Hashes] = {}
    counted = []
    for row in rows:
        found = row.source.train_hashes() if row.judged else None
        if found is not None and _data(row):
            hashes[_data(row)] = found
        counted.append((row, found))
    return [
        # A search does not keep what it trained on; but a model here may have had the very same photos.
        Row(row.source, row.judged, test.known(hashes.get(_data(row), found))) if row.judged else row
        for row, found in counted
    ]


def _data(row: Row) -> str:
    """Return the fingerprint of the photos that a model was trained on; empty if it does not say."""
    return str(row.judged.about["data"]) if row.judged else ""
