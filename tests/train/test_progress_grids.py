"""The tall grid: the same photos at 0, 1, 2, 5, 10 ... epochs."""

import numpy as np
from PIL import Image

from stages.train.progress import ProgressGrids
from ungray.imaging.grids import GAP


def test_milestones_grow_as_ones_twos_and_fives():
    found = [epoch for epoch in range(600) if ProgressGrids.is_milestone(epoch)]
    assert found == [0, 1, 2, 5, 10, 20, 50, 100, 200, 500]


def test_the_tall_grid_has_a_column_an_epoch_between_gray_and_truth(trained, here):
    trained(epochs=4, grid_every=3, grid_photos=2)
    images = here / "r/plots/images"
    assert sorted(p.name for p in (images / "grid").iterdir()) == ["0000.jpg", "0003.jpg", "0004.jpg"]
    tall = np.asarray(Image.open(images / "learning.jpg"))
    tile, top = 192, 28
    step = tile + GAP
    assert tall.shape[1] == 6 * step + GAP, "gray, epochs 0, 1, 2, 4, truth"
    columns = [tall[top : top + tile, GAP + n * step :][:, :tile] for n in range(6)]
    assert np.ptp(columns[0].astype(int), axis=-1).mean() < 2, "the first one is gray"
    last = np.asarray(Image.open(images / "grid/0004.jpg"))
    for column, number in ((columns[0], 0), (columns[4], 1), (columns[5], 2)):
        same = last[top : top + tile, GAP + number * step :][:, :tile]
        assert np.abs(column.astype(int) - same).mean() < 5, "but for what JPEG adds"
