"""Color that does not flicker: each frame takes the mean of the network's answers of the frames around it.

All of this happens on the small copy that the network sees. The flow is that of DIS (Kroeger and others,
"Fast optical flow using dense inverse search", 2016, in OpenCV), from each frame to the next and back: where
the two disagree, or lightness changes along it, nothing is carried over. The network is asked every few
frames. Its answers are moved along the flow, from all frames before and from some that follow, and their mean
is the color of a place. So a place that appears takes its color from later frames, and nothing lags behind.
Where nothing moves, colors stay the same bit for bit. A cut starts anew.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from ungray.imaging import borders
from ungray.imaging.borders import Border
from ungray.imaging.color import Float, PredictAb
from ungray.imaging.photo_files import Photo
from ungray.imaging.prediction import Prediction, Vivid, finished, with_hints
from ungray.imaging.restoration import restoring
from ungray.imaging.upsampling import small_copy

LOOKAHEAD = 12
"""Number of frames that are read before the colors of a frame are decided."""

ASKED_EVERY = 4
"""Number of frames after which the network is asked again."""

UNKNOWN = 0.1
"""Share of a frame's pixels without a known color over which the network is asked at once."""

MOST_ANSWERS = 10.0
"""Number of answers for which those of the past count at most, and those of the lookahead."""

STILL = 1.0
"""Largest change of lightness, in Lab units, of a place where nothing moves."""

STILL_AROUND = 5
"""Pixels of the small copy, in a square around a place, that must not change for it to be still."""

APART = 1.0
"""By how many pixels the flow and its way back disagree where the weight is 1 / e."""

FLAT = 8.0
"""How many times farther they may disagree where lightness is even, since colors are, too."""

CHANGED = 8.0
"""By how much lightness differs along the flow, in Lab units, where the weight is 1 / e."""

CUT_SHARE, CUT_CHANGE = 0.5, 4.0
"""A cut: more than this share of the pixels is unknown, and lightness differs by more than this in the mean
along the flow, in Lab units."""

FILLED = 15
"""Side in pixels of the square from which a place without a color takes one."""

REACH = 4.0
"""Change of color by a hint, in Lab units, at which the hint decides half of it."""


@dataclass(frozen=True)
class State:
    """What the next frame needs to know of the last one; float32, (height, width) of the small copy."""

    lightness: Float
    """Of the last frame, 0..100."""
    answers: Float
    """The network's answers of this frame and those before, moved along: the sums of their a and b, and their
    number, (height, width, 3)."""
    hinted: Float
    """How much hints have decided the color of a place, 0..1."""
    hint_ab: Float
    """The colors that hints lead to, (height, width, 2), Lab units."""
    since: int
    """Number of frames since the network was asked."""
    asked: Float
    """Lightness of the frame for which it was asked."""
    border: Border | None
    """The mount or frame around the shot, which stays gray."""
    held: Float
    """Lightness with which the colors of a still place were found."""
    fits: Float
    """See :func:`ungray.imaging.upsampling.guided_fit`, (height, width, 4)."""
    chroma: Float
    """Chroma of the colors, Lab units."""


@dataclass(frozen=True)
class Motion:
    """Where the places of a frame are in a neighboring one, and how certain that is."""

    x: Float
    y: Float
    known: Float
    """0..1, (height, width)."""
    change: float
    """Mean difference of lightness along the flow, Lab units."""

    def move(self, values: Float) -> Float:
        """Return ``values`` of the other frame at the places of this one."""
        return np.asarray(
            cv2.remap(values, self.x, self.y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        )

    @property
    def is_cut(self) -> bool:
        """Whether the two frames belong to different shots."""
        return bool((self.known < 0.5).mean() > CUT_SHARE) and self.change > CUT_CHANGE


@dataclass(frozen=True)
class Waiting:
    """A frame whose colors are not yet decided; see :class:`State`."""

    photo: Photo
    lightness: Float
    answer: Float | None
    """What the network answered for it, ab, (height, width, 2); None if it was not asked."""
    answers: Float
    back: Motion | None
    """Where the places of the frame before it are in this one; None: nothing moved."""
    hinted: Float
    hint_ab: Float
    decided: Float | None
    """How much new hints decide the color of a place, 0..1; None without new hints."""
    since: int
    asked: Float
    border: Border | None


class Propagation:
    """Colors the frames of a film one after another; each is returned :data:`LOOKAHEAD` frames later."""

    def __init__(
        self,
        predict_ab: PredictAb,
        *,
        working_size: int,
        multiple: int,
        vivid: Vivid = Vivid(),  # noqa: B008
        state: State | None = None,
    ) -> None:
        """Begin, or resume after a frame whose ``state`` was kept.

        ``vivid`` is how vivid colors follow from the predicted ones; see
        :func:`ungray.imaging.prediction.predict` for the other arguments.
        """
        self._predict_ab, self._short_side, self._multiple = restoring(predict_ab), working_size, multiple
        self._vivid = vivid
        self._state = state
        self._waiting: deque[Waiting] = deque()
        self.cut = False
        """Whether the last frame that was added began a shot."""

    def add(
        self,
        photo: Photo,
        hints: Float | None = None,
        *,
        known: Iterable[tuple[float, float]] = (),
        of_shot: Callable[[], Float | None] | None = None,
    ) -> list[tuple[Prediction, State]]:
        """Add the next frame, and return the colors of earlier ones, in order, and the state after each.

        Args:
            photo: the frame.
            hints: known colors in it, see :func:`ungray.hints.drawn`; they hold until the next cut.
            known: points x, y of the frame that are known to have a color: if they lie on a mount or frame,
                it is none.
            of_shot: gives ``hints`` instead, those and more, if the frame begins a shot.
        """
        copy = small_copy(photo.gray, short_side=self._short_side, multiple=self._multiple)
        last: Waiting | State | None = self._waiting[-1] if self._waiting else self._state
        motions = None
        if last is not None and last.lightness.shape == copy.shape:
            motions = _motions(last.lightness, copy)
            if motions is not None and motions[0].is_cut:
                last = None
        else:
            last = None
        self.cut = last is None
        found = []
        if last is None:
            found = self.end()
            self._state = None
            frame = self._begun(photo, copy, hints if of_shot is None else of_shot(), known)
        else:
            frame = self._continued(photo, copy, last, motions, hints, known)
        self._waiting.append(frame)
        if len(self._waiting) > LOOKAHEAD:
            found.append(self._decided())
        return found

    def end(self) -> list[tuple[Prediction, State]]:
        """Return the colors of all frames that are left, and the state after each: the film has ended."""
        return [self._decided() for _ in range(len(self._waiting))]

    def _begun(
        self, photo: Photo, copy: Float, hints: Float | None, known: Iterable[tuple[float, float]]
    ) -> Waiting:
        """Return the first frame of a shot."""
        answer = self._asked(copy)
        decided = None
        hinted, hint_ab = np.zeros_like(copy), np.zeros_like(answer)
        if hints is not None:
            hinted, hint_ab = self._with_hints(copy, answer, hints)
            decided = hinted
        border = borders.find(photo.gray)
        return Waiting(
            photo=photo,
            lightness=copy,
            answer=answer,
            answers=np.dstack([answer, np.ones_like(copy)]),
            back=None,
            hinted=hinted,
            hint_ab=hint_ab,
            decided=decided,
            since=0,
            asked=copy,
            border=None if _colored(border, known) else border,
        )

    def _continued(
        self,
        photo: Photo,
        copy: Float,
        last: Waiting | State,
        motions: tuple[Motion, Motion] | None,
        hints: Float | None,
        known: Iterable[tuple[float, float]],
    ) -> Waiting:
        """Return a further frame of a shot, after ``last``; without ``motions`` nothing moved."""
        answers, hinted, hint_ab, border = last.answers, last.hinted, last.hint_ab, last.border
        if motions is not None:
            answers = _moved(answers, motions[0])
            if hinted.any():
                hinted, hint_ab = motions[0].known * motions[0].move(hinted), motions[0].move(hint_ab)
        unknown = bool((answers[..., 2] < 0.5).mean() > UNKNOWN)
        due = last.since + 1 >= ASKED_EVERY and bool(np.abs(copy - last.asked).max() > STILL)
        answer, decided = None, None
        if due or unknown or hints is not None:
            answer = self._asked(copy)
            answers = _added(answers, answer)
            if border is not None and borders.find(photo.gray) != border:
                border = None  # it was part of the picture
            if hints is not None:
                decided, colors = self._with_hints(copy, answer, hints)
                hint_ab = _mixed(hint_ab, colors, decided)
                hinted = np.maximum(hinted, decided)
        return Waiting(
            photo=photo,
            lightness=copy,
            answer=answer,
            answers=answers,
            back=None if motions is None else motions[1],
            hinted=hinted,
            hint_ab=hint_ab,
            decided=decided,
            since=last.since + 1 if answer is None else 0,
            asked=last.asked if answer is None else copy,
            border=None if _colored(border, known) else border,
        )

    def _decided(self) -> tuple[Prediction, State]:
        """Return the colors of the frame that waits for longest, and the state after it."""
        ahead = None
        for later in list(self._waiting)[:0:-1]:
            if later.answer is not None:
                ahead = _added(np.zeros_like(later.answers) if ahead is None else ahead, later.answer)
            if ahead is not None and later.back is not None:
                ahead = _moved(ahead, later.back)
        frame, last = self._waiting.popleft(), self._state
        ab = _mean(frame.answers if ahead is None else frame.answers + ahead)
        if frame.hinted.any():
            ab = _mixed(ab, frame.hint_ab, frame.hinted)
        found = finished(frame.photo, frame.lightness, ab)
        fits, chroma, held = found.fits, found.chroma, frame.lightness
        if last is not None:
            around = np.ones((STILL_AROUND, STILL_AROUND), np.uint8)
            still = cv2.dilate(np.abs(frame.lightness - last.held), around) <= STILL
            if frame.decided is not None:
                still &= frame.decided < 0.01
            fits[still], chroma[still] = last.fits[still], last.chroma[still]
            held = np.where(still, last.held, held)
        self._state = State(
            lightness=frame.lightness,
            answers=frame.answers,
            hinted=frame.hinted,
            hint_ab=frame.hint_ab,
            since=frame.since,
            asked=frame.asked,
            border=frame.border,
            held=held,
            fits=fits,
            chroma=chroma,
        )
        return Prediction(frame.photo, fits, chroma, vivid=self._vivid, border=frame.border), self._state

    def _asked(self, copy: Float) -> Float:
        return np.ascontiguousarray(self._predict_ab(copy[None, None], None)[0].transpose(1, 2, 0))

    def _with_hints(self, copy: Float, answer: Float, hints: Float) -> tuple[Float, Float]:
        """Return how much ``hints`` decide each place, 0..1, and the colors they lead to."""
        ab = with_hints(copy[None, None], hints[None], self._predict_ab)[0].transpose(1, 2, 0)
        change = np.hypot(*np.moveaxis(ab - answer, -1, 0))
        return np.maximum(change / (change + np.float32(REACH)), hints[2]), ab


def _colored(border: Border | None, known: Iterable[tuple[float, float]]) -> bool:
    return border is not None and any(border.holds(x, y) for x, y in known)


def flow(before: Float, after: Float) -> Float:
    """Return where things go from lightness ``before`` to ``after``, float32 (height, width, 2), x and y."""
    levels = [cv2.convertScaleAbs(lightness, alpha=2.55) for lightness in (before, after)]
    # Not shared, since it is not thread-safe. OpenCV's types do not allow that there is no flow yet.
    dis: Any = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_FAST)
    return dis.calc(*levels, None)


def _motions(last: Float, copy: Float) -> tuple[Motion, Motion] | None:
    """Return where the places of this frame are in the last one, and the reverse; None if nothing moved.

    ``last`` and ``copy`` are the lightness of the two.
    """
    if np.abs(copy - last).max() <= STILL:
        return None
    back, forth = flow(copy, last), flow(last, copy)
    return _motion(copy, last, back, forth), _motion(last, copy, forth, back)


def _motion(here: Float, there: Float, flow_there: Float, flow_back: Float) -> Motion:
    """Return where the places of ``here`` are in ``there``, with a check in both directions."""
    height, width = here.shape
    rows, columns = np.mgrid[:height, :width].astype(np.float32)
    moved = Motion(columns + flow_there[..., 0], rows + flow_there[..., 1], here, 0.0)
    x, y = moved.x, moved.y
    apart = flow_there + moved.move(flow_back)
    change = np.abs(moved.move(there) - here)
    smooth = cv2.GaussianBlur(here, (0, 0), 1.5)
    slope = np.hypot(cv2.Scharr(smooth, cv2.CV_32F, 1, 0), cv2.Scharr(smooth, cv2.CV_32F, 0, 1)) / 32
    apart = apart / (APART * (1 + FLAT / (1 + slope * slope)))[..., None]
    doubt = apart[..., 0] ** 2 + apart[..., 1] ** 2 + (change / CHANGED) ** 2
    known = np.exp(-doubt) * ((x >= -0.5) & (x <= width - 0.5) & (y >= -0.5) & (y <= height - 0.5))
    return Motion(x, y, known, float(change.mean()))


def _moved(answers: Float, motion: Motion) -> Float:
    """Return sums and number of answers, see :class:`State`, in the other frame of ``motion``."""
    return motion.move(answers) * motion.known[..., None]


def _added(answers: Float, answer: Float) -> Float:
    """Return sums and number of answers with one more; at most :data:`MOST_ANSWERS` of them count."""
    share = np.minimum(1, np.float32(MOST_ANSWERS - 1) / np.maximum(answers[..., 2], np.float32(1)))
    return answers * share[..., None] + np.dstack([answer, np.ones_like(share)])


def _mean(answers: Float) -> Float:
    """Return the mean of answers given their sums and number; where there are none, from places around."""
    number = answers[..., 2]
    ab: Any = answers[..., :2] / np.maximum(number, np.float32(1e-6))[..., None]
    known: Any = np.minimum(number, 1)
    if known.min() > 0.9:
        return ab
    side = (FILLED, FILLED)
    weight = known**2 + np.float32(1e-4)
    around: Any = cv2.blur(ab * weight[..., None], side) / cv2.blur(weight, side)[..., None]
    return _mixed(around, ab, known)


def _mixed(one: Float, other: Float, share: Float) -> Float:
    """Return ``one`` where ``share`` is 0 and ``other`` where it is 1; (height, width, 2)."""
    return one + share[..., None] * (other - one)
