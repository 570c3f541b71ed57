"""A small collection of photos with the verdicts on them, as the filter stage leaves them."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
from skimage import data

from stages.prepare import build


@dataclass
class Collection:
    """Photos below ``raw`` and the verdicts on them; what is prepared of them lies beside."""

    top: Path
    params: object
    verdicts: pd.DataFrame

    def prepare(
        self, *, rows=None, cached="cached", workers=1, base_hashes=None, near_distance=8, **changes
    ) -> build.Built:
        """Prepare anew in data/prepared, with the working cache ``cached``."""
        rows = self.verdicts if rows is None else rows
        prepared = self.top / "data/prepared"
        if prepared.exists():
            prepared.rename(self.top / f"before {len(list(self.top.iterdir()))}")
        prepared.mkdir(parents=True)
        (self.top / cached).mkdir(exist_ok=True)
        return build.run(
            self.params.model_copy(update=changes),
            rows,
            self.top / "raw",
            prepared,
            cached=self.top / cached,
            workers=workers,
            base_hashes=base_hashes,
            near_distance=near_distance,
        )

    def prepared(self) -> dict[str, bytes]:
        """Return what lies in data/prepared, by name."""
        folder = self.top / "data/prepared"
        return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}

    def fresh(self, **changes) -> dict[str, bytes]:
        """Return what a build from an empty cache gives."""
        self.prepare(cached=f"empty {len(list(self.top.iterdir()))}", **changes)
        return self.prepared()


@pytest.fixture
def collection(tmp_path, tiny) -> Collection:
    """44 pieces of photographs, each a group of its own, none with a side given."""
    rng, rows = np.random.default_rng(5), []
    sources = [data.astronaut(), data.coffee(), data.chelsea()]
    (tmp_path / "raw").mkdir()
    for number in range(44):
        photo = sources[number % 3]
        top, left = (int(rng.integers(0, side - 110)) for side in photo.shape[:2])
        content = cv2.imencode(".png", photo[top : top + 90, left : left + 110, ::-1])[1].tobytes()
        checksum = hashlib.sha256(content).hexdigest()
        (tmp_path / f"raw/{checksum[:16]}.png").write_bytes(content)
        rows.append((f"{checksum[:16]}.png", checksum, checksum[:16]))
    verdicts = pd.DataFrame(rows, columns=["file", "sha256", "group"]).sort_values("file", ignore_index=True)
    verdicts = verdicts.assign(query="pieces", verdict="kept", photograph="", split="")
    return Collection(tmp_path, tiny["prepare"], verdicts)
