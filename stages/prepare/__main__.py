"""Bring kept photos to one size, split them, add rotated copies to train; write data/prepared.

Examples:

  python -m stages.prepare
  dvc exp run -S prepare.rotated_copies=0     no rotated copies
  dvc exp run -S prepare.fit=squash           whole photos, out of proportion
  dvc exp run -S 'prepare.extra_sizes=[128]'  train photos at half the size too
  python -m stages.prepare hashes data/base   write the hashes of what the base model there was trained on
"""

from pathlib import Path

from stages.command import run_stage
from stages.params import Machine, load, load_all
from stages.prepare import build, known, store
from stages.prepare.params import Params
from stages.storage import tables
from ungray.system.files import whole_folder
from ungray.system.terminal import tell


def main() -> None:
    """Run the stage."""
    params, machine = load("prepare", Params), load("machine", Machine)
    sections = {name: section.model_dump() for name, section in load_all().items()}
    base = Path(sections["evaluate"]["base"])
    hashes = known.read(base)
    verdicts = tables.read(Path("data/verdicts.csv"), made_by="filter")
    with whole_folder(Path("data/prepared")) as prepared:
        built = build.run(
            params,
            verdicts,
            Path("data/raw"),
            prepared,
            cached=store.folder(params),
            workers=machine.photo_workers,
            base_hashes=hashes,
            near_distance=sections["filter"]["near_duplicate_distance"],
        )
    for split, rows in built.index.groupby("split"):
        originals = (rows["copy"] == 0).sum()
        tell(
            f"prepare: {split}: {originals} photos, {len(rows) - originals} copies, "
            f"{rows['group'].nunique()} groups"
        )
    if params.shard_photos:
        train = built.index[built.index["split"] == "train"]
        tell(f"prepare: train: {train['shard'].nunique()} shards of at most {params.shard_photos} photos")
    if built.left_out:
        tell(
            f"prepare: left out {built.left_out}: their data set has them on one side of the split, "
            "a photo like them is on another"
        )
    if hashes is None:
        tell(f"prepare: without {base / known.FILE} nobody knows what the base model was trained on")
    else:
        marks = built.index.loc[built.index["split"] == "test", "base_knows"]
        tell(f"prepare: the base model was trained on {(marks == 'yes').sum()} of {len(marks)} test photos")
    tell(f"prepare: {built.reused} photos were in the working cache already")


if __name__ == "__main__":
    run_stage("prepare", main, doc=__doc__, tools={"hashes": known.write})
