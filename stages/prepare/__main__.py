"""Resize kept photos to one size, split them, add rotated copies to train; write data/prepared.

Examples:

  python -m stages.prepare
  dvc exp run -S prepare.rotated_copies=0     no rotated copies
  dvc exp run -S prepare.fit=squash           whole photos, aspect ratio ignored
  dvc exp run -S 'prepare.extra_sizes=[128]'  train photos at half the size as well
  python -m stages.prepare hashes data/base   write the hashes of the base model's train photos
"""

from pathlib import Path

from stages.command import run_stage
from stages.params import Machine, load, load_all
from stages.prepare import build, store, train_hashes
from stages.prepare.params import Params
from stages.storage import tables
from ungray.system.files import whole_folder
from ungray.system.terminal import tell


def main() -> None:
    """Run the stage."""
    params, machine = load("prepare", Params), load("machine", Machine)
    sections = {name: section.model_dump() for name, section in load_all().items()}
    base = Path(sections["evaluate"]["base"])
    hashes = train_hashes.read_hashes(base)
    verdicts = tables.read_table(Path("data/verdicts.csv"), made_by="filter")
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
            f"prepare: left out {built.left_out} photos: their data set assigns them to one split, "
            "but a duplicate of theirs is in another"
        )
    if hashes is None:
        tell(f"prepare: {base / train_hashes.FILE} is missing, so the base model's train photos are unknown")
    else:
        marks = built.index.loc[built.index["split"] == "test", "base_knows"]
        tell(f"prepare: the base model was trained on {(marks == 'yes').sum()} of {len(marks)} test photos")
    tell(f"prepare: {built.reused} photos were already in the working cache")


if __name__ == "__main__":
    run_stage("prepare", main, doc=__doc__, tools={"hashes": "stages.prepare.train_hashes:write"})
