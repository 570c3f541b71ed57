"""What visitors bring is decoded within limits on time and memory."""

import pytest

from ungray.imaging.photos import PhotoError
from ungray.page import coloring

from ... import costly_photos
from .conftest import MAX_PIXELS


@pytest.mark.parametrize("name", costly_photos.FILES)
def test_a_small_upload_that_costs_much_is_refused(name):
    with pytest.raises(PhotoError):
        coloring.check(costly_photos.FILES[name](), max_pixels=MAX_PIXELS)
