"""What visitors bring is decoded within limits on time and memory."""

import pytest

from ungray.colorizer import Colorizer
from ungray.imaging import decoding, photo_files
from ungray.imaging.photos import PhotoError
from ungray.page import coloring

from ... import costly_photos
from .conftest import MAX_PIXELS, pixels


def test_an_upload_is_decoded_in_another_process_for_the_page_and_for_its_download(models, cat, monkeypatch):
    asked, limited = [], decoding.limited

    def noted(work, content, **about):
        asked.append(work)
        return limited(work, content, **about)

    monkeypatch.setattr(decoding, "limited", noted)
    model = Colorizer.load(models[0])
    assert coloring.predict_shown(cat, model).photo.gray.shape == (300, 451)
    encoded, *_ = coloring.color_whole(cat, model, format="PNG", saturation=0.0, vivid=False)
    assert pixels(encoded).shape == (300, 451, 3)
    assert asked == [photo_files.read, photo_files.read]


@pytest.mark.parametrize("name", costly_photos.FILES)
def test_a_small_upload_that_costs_much_is_refused(name):
    with pytest.raises(PhotoError):
        coloring.check(costly_photos.FILES[name](), max_pixels=MAX_PIXELS)
