"""Frames from Python: color that stays with what it is on, cuts, hints."""

import itertools

import cv2
import numpy as np
import pytest
from skimage import data

from ungray.errors import ArgumentError
from ungray.hints import Hint
from ungray.imaging import propagation
from ungray.imaging.color import rgb_to_lab


def crop(photo, left, top, *, width=192, height=128):
    return cv2.cvtColor(photo[top : top + height, left : left + width], cv2.COLOR_RGB2GRAY)


def pan(photo, frames=10, *, noise=0.0):
    """A window that moves by two pixels a frame, in gray, with grain that is different in each."""
    draws = np.random.default_rng(0)
    return [
        np.clip(crop(photo, 20 + 2 * n, 20) + noise * draws.normal(size=(128, 192)), 0, 255).astype(np.uint8)
        for n in range(frames)
    ]


def ab(rgb):
    return rgb_to_lab(rgb)[..., 1:]


def changes(frames):
    """Mean change of ab along the known movement."""
    return np.mean(
        [np.abs(ab(other)[:, 8:-10] - ab(one)[:, 10:-8]).mean() for one, other in itertools.pairwise(frames)]
    )


def test_colors_flicker_less_than_frame_by_frame(colorizer):
    film = pan(data.astronaut(), noise=6)
    alone = changes([colorizer.colorize(frame) for frame in film])
    assert changes(list(colorizer.colorize_frames(film))) < alone * 2 / 3  # the rest is the grain itself


def test_what_does_not_move_keeps_its_color_bit_for_bit(colorizer):
    """Also where something else moves, and for longer than the network is not asked."""
    film = []
    for number in range(3 * propagation.ASKED_EVERY):
        frame = crop(data.astronaut(), 20, 20).copy()
        frame[90:120, 4 * number : 4 * number + 30] = 255 - 5 * number
        film.append(frame)
    colored = list(colorizer.colorize_frames(film))
    for frame in colored[1:]:
        assert np.array_equal(frame[:70], colored[0][:70])
    assert not np.array_equal(colored[0][90:120], colored[-1][90:120])


def test_a_cut_starts_anew(colorizer):
    cat, woman = pan(data.chelsea(), 6), pan(data.astronaut(), 6)
    both = list(colorizer.colorize_frames([*cat, *woman]))
    for shot, part in ((both[:6], cat), (both[6:], woman)):
        for frame, alone in zip(shot, colorizer.colorize_frames(part), strict=True):
            assert np.array_equal(frame, alone)


def test_frames_are_read_as_far_ahead_as_is_said(colorizer):
    asked = []

    def film():
        for number, frame in enumerate(pan(data.astronaut(), propagation.LOOKAHEAD + 5)):
            asked.append(number)
            yield frame

    colored = colorizer.colorize_frames(film())
    assert asked == []
    for number in range(3):
        next(colored)
        assert asked[-1] == number + propagation.LOOKAHEAD
    assert len(list(colored)) == propagation.LOOKAHEAD + 2


def test_what_appears_has_the_color_that_it_keeps(colorizer):
    """Also in a frame for which the network is not asked: it comes from a later one."""
    film = pan(data.astronaut(), 12)
    for number, frame in enumerate(film[5:]):
        frame[50:70, 80 - 2 * number : 100 - 2 * number] = 230
    found = [
        ab(frame)[55:65, 85 - 2 * number : 95 - 2 * number].mean(axis=(0, 1))
        for number, frame in enumerate(list(colorizer.colorize_frames(film))[5:])
    ]
    assert np.abs(np.diff(found, axis=0)).max() < 3


def test_a_frame_of_another_size_begins_a_shot(colorizer):
    film = [crop(data.astronaut(), 20, 20), crop(data.astronaut(), 20, 20, width=128)]
    colored = list(colorizer.colorize_frames(film))
    assert [frame.shape for frame in colored] == [(128, 192, 3), (128, 128, 3)]
    assert np.array_equal(colored[1], colorizer.colorize(film[1]))


def test_a_single_frame_is_what_the_photo_would_be(colorizer):
    first = pan(data.astronaut(), 1)[0]
    assert np.array_equal(next(colorizer.colorize_frames([first])), colorizer.colorize(first))


def test_a_model_without_hints_says_so(colorizer):
    film = pan(data.astronaut(), 2)
    with pytest.raises(ArgumentError, match="takes no hints"):
        list(colorizer.colorize_frames(film, hints={1: [Hint(10, 10, "#ff0000")]}))


class Painter:
    """Stands for a network that takes hints: gray, whatever the hints."""

    def __call__(self, lightness, hints=None):
        return np.zeros((len(lightness), 2, *lightness.shape[2:]), np.float32)


def hinted(film, hints):
    """ab of the frames of a film that begins gray, with hints by the number of a frame."""
    from ungray.hints import drawn
    from ungray.imaging import photo_files

    moving = propagation.Propagation(Painter(), working_size=128, multiple=32)
    found = []
    for number, frame in enumerate(film):
        photo = photo_files.from_array(frame)
        known = drawn(hints[number], photo=frame.shape, small=(128, 192)) if number in hints else None
        found += moving.add(photo, known)
    return [ab(prediction.render()) for prediction, _ in [*found, *moving.end()]]


def test_a_hint_moves_along_and_ends_at_its_cut():
    shot = pan(data.astronaut(), 12)
    frames = hinted([*shot, *pan(data.chelsea(), 2)], {2: [Hint(100, 60, "#dd2211")]})
    assert np.abs(frames[1]).max() < 1
    assert frames[2][58:62, 98:102, 0].mean() > 25
    left = 100 - 2 * (11 - 2)  # where the place is in the last frame of the shot
    assert frames[11][58:62, left - 2 : left + 2, 0].mean() > 20
    assert np.abs(frames[12]).max() < 1
