"""Train photos packed into shards: tar archives in the layout of WebDataset.

A shard is a plain tar archive of JPEG files. WebDataset takes a file's name up to its first dot as the
photo's key (Aizman, Maltby, Breuel, "High performance I/O for large scale deep learning", 2019). The same
photos always give the same bytes.
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
    """Return the shard of each row of ``index``, with at most ``photos`` in one; empty for val and test.

    All photos of a shard have one size, as those of a batch do. They are sorted by digest, which is as good
    as a random order: the rotated copies of a photo are spread over the shards.
    """
    shards = pd.Series("", index=index.index)
    train, made = index[index["split"] == "train"], 0
    for _, rows in train.sort_values("digest", kind="stable").groupby("size"):
        for part in np.array_split(rows.index.to_numpy(), math.ceil(len(rows) / photos)):
            shards[part] = f"train-{made:05}.tar"
            made += 1
    return shards


def pack(index: pd.DataFrame, prepared: Path) -> None:
    """Write the shards that ``index`` names to ``prepared``; delete the folder of loose train photos."""
    train = index[index["split"] == "train"].sort_values("digest", kind="stable")
    for shard, rows in Bar(train.groupby("shard"), desc="prepare, shards", unit="shard"):
        with (
            whole_file(prepared / str(shard)) as unfinished,
            tarfile.open(unfinished, "w", format=tarfile.USTAR_FORMAT) as archive,
        ):
            for file in rows["file"]:
                content = (prepared / file).read_bytes()
                member = tarfile.TarInfo(Path(file).name)  # without time and owner, which would differ
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content))
    shutil.rmtree(prepared / "train")
