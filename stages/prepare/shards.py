"""Train photos packed into shards: tar archives in the layout of WebDataset.

A shard is a plain tar archive of JPEG files; WebDataset reads a file's name up to its first dot as the
photo's key (Aizman, Maltby, Breuel, "High performance I/O for large scale deep learning", 2019). The same
photos give the same bytes.
"""

from __future__ import annotations

import io
import math
import shutil
import tarfile
from pathlib import Path

import numpy as np
import pandas as pd

from ungray.system.files import whole_file
from ungray.system.progress import Bar


def assign(index: pd.DataFrame, *, photos: int) -> pd.Series:
    """Return the shard of each row of ``index``, at most ``photos`` in one; empty for val and test.

    Photos of a shard are of one size, as those of a batch are. They follow each other by digest, which is as
    good as drawn by lot: the rotated copies of a photo lie in different shards.
    """
    shards = pd.Series("", index=index.index)
    train, made = index[index["split"] == "train"], 0
    for _, rows in train.sort_values("digest", kind="stable").groupby("size"):
        for part in np.array_split(rows.index.to_numpy(), math.ceil(len(rows) / photos)):
            shards[part] = f"train-{made:05}.tar"
            made += 1
    return shards


def pack(index: pd.DataFrame, prepared: Path) -> None:
    """Write the shards that ``index`` names to ``prepared``; the folder of loose train photos goes."""
    train = index[index["split"] == "train"].sort_values("digest", kind="stable")
    for shard, rows in Bar(train.groupby("shard"), desc="prepare, shards", unit="shard"):
        with (
            whole_file(prepared / str(shard)) as unfinished,
            tarfile.open(unfinished, "w", format=tarfile.USTAR_FORMAT) as archive,
        ):
            for file in rows["file"]:
                content = (prepared / file).read_bytes()
                member = tarfile.TarInfo(Path(file).name)  # no time, no owner
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content))
    shutil.rmtree(prepared / "train")
