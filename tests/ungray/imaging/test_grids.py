import numpy as np
from PIL import Image
from skimage import data

from ungray.imaging.grids import photo_grid, write_jpeg


def test_a_grid_shows_every_photo_fitted_into_its_square_under_its_title():
    rows = [[data.astronaut(), data.coffee()], [data.chelsea(), data.rocket()]]
    grid = photo_grid(rows, columns=["one", "two"], captions=["first", "second"], tile=100)
    assert grid.dtype == np.uint8
    assert grid.shape[1] == 2 * 106 + 6
    assert grid.shape[0] > 2 * 100
    coffee = grid[60:100, 120:200].astype(int)
    assert np.ptp(coffee) > 100, "a photo, not white paper"
    without_title = photo_grid(rows, columns=["", ""], captions=["first", "second"], tile=100)
    assert (grid != without_title).any()
    assert (grid[30:120] == without_title[30:120]).all()
    other_caption = photo_grid(rows, columns=["one", "two"], captions=["another", "second"], tile=100)
    (changed,) = np.nonzero((grid != other_caption).any(axis=(1, 2)))
    assert changed.max() < 22 + 6 + 22, "a caption stands above its row"


def test_a_grid_is_the_same_bytes_every_time(tmp_path):
    for name in ("a.jpg", "b.jpg"):
        write_jpeg(tmp_path / name, photo_grid([[data.astronaut()]], columns=["photo"]))
    assert (tmp_path / "a.jpg").read_bytes() == (tmp_path / "b.jpg").read_bytes()
    with Image.open(tmp_path / "a.jpg") as written:
        assert written.format == "JPEG"


def test_the_scale_stands_in_the_upper_right_corner():
    strip = np.full((14, 40, 3), (200, 30, 30), np.uint8)
    plain, scaled = (
        photo_grid([[data.astronaut()]], columns=["photo"], tile=100, scale=scale) for scale in (None, strip)
    )
    assert plain.shape == scaled.shape
    assert (scaled[4:18, -46:-6] == strip).all()
    assert (plain[22:] == scaled[22:]).all()
