"""The film of a training: its progress grids, one after the other."""

from __future__ import annotations

from pathlib import Path

from PIL import Image

from ungray.errors import UngrayError
from ungray.system.files import whole_file

MILLISECONDS, LAST_MILLISECONDS = 600, 2500
"""How long each grid is shown, and the last one."""


def write_film(grids: Path, path: Path) -> None:
    """Write the grids of the folder ``grids`` (epoch in the name) as one endless animated WebP.

    Raises:
        UngrayError: there is no grid.
    """
    frames = [Image.open(grid).convert("RGB") for grid in sorted(grids.glob("*.jpg"))]
    if not frames:
        raise UngrayError(f"{grids} holds no grid; `dvc repro --force train` draws them")
    durations = [MILLISECONDS] * (len(frames) - 1) + [LAST_MILLISECONDS]
    with whole_file(path) as partial:
        frames[0].save(
            partial, "WEBP", save_all=True, append_images=frames[1:], duration=durations, loop=0, quality=80
        )
