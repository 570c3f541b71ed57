"""Similarity of photographs: which are copies of one another, and which were cropped from one another.

Strict (:func:`near`): a perceptual hash of 64 bits, which survives another size, format or compression. Loose
(:func:`copies`): also photos that were mirrored, turned, cropped, framed or rotated by a few degrees. Corners
are matched between two photos (ORB: Rublee et al., 2011), which are copies if many corners fit once one photo
is moved, turned and scaled onto the other (RANSAC, by OpenCV). So that few pairs need this comparison,
corners are first matched by parts of their descriptors in an inverted index, and have to agree on the angle
of the turn (weak geometric consistency: Jegou et al., 2008).
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import cv2
import imagehash
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from ungray.imaging.color import Rgb

MEASURED_SIDE = 256
"""Similarity is measured on a copy with this short side in pixels, so that it means the same for every
size."""

CORNERS, MIRRORED_CORNERS = 128, 64
"""Number of a photo's strongest corners that are kept, and of those that are also described as mirrored."""
LEAST_SIDE = 64
"""Pixels; smaller photos have no useful corners and are compared by their hash alone."""
MOST_LONG_SIDE = 1024
"""Largest long side, in pixels, of the copy in which corners are looked for; a strip of film would exceed
it."""

CORNER = np.dtype([("x", "<f2"), ("y", "<f2"), ("angle", "u1"), ("mirrored", "?"), ("words", "<u4", 8)])
"""A corner: its position in the small copy, in pixels; its direction, 256 for a full turn; whether it is
described as mirrored; and its descriptor, 256 bits in eight words."""

COMMON = 16
"""A word that more corners than this share says nothing about similarity."""
AGREEING = 4
"""Number of words that must match, at one angle, before the corners of two photos are compared."""
TURNS = 16
"""Number of steps of a full turn by which that angle is counted."""
PHOTOS_AT_ONCE = 16384
"""Number of photos whose pairs are counted at a time, which bounds memory."""

SAME_CORNER = 64
"""Largest number of bits, of 256, in which the descriptors of one corner differ."""
FITS_WITHIN = 4.0
"""Largest distance in pixels between a corner and its expected position."""
LEAST_FITTING, LEAST_SHARE = 10, 0.1
"""Smallest number of corners that fit in two copies, and their smallest share of those that both show."""
LEAST_SCALE = 0.4
"""Smallest scale of one copy relative to the other. A smaller one is a chance fit onto a few corners."""

NEAR = 8
"""Largest number of bits in which the hashes of two copies differ, unless a parameter says it."""
SAME_WORDS = 10
"""Smallest number of words of a :func:`sketch` that a copy shares: 2 of 39,919 unrelated pairs had as
many."""

ROWS_AT_ONCE = 1024

Corners = NDArray[Any]
"""Corners of one photo: (number,), dtype :data:`CORNER`."""
Hashes = NDArray[np.uint64]
Pairs = NDArray[np.int64]


class Signature(NamedTuple):
    """What photos are compared by: ``phash`` is from :func:`phash`, ``corners`` from :func:`corners`."""

    phash: str
    corners: Corners


def signature(rgb: Rgb) -> Signature:
    """Return what the photo ``rgb``, uint8 (height, width, 3), is compared by."""
    small = small_copy(rgb)
    return Signature(phash(small), corners(small))


def small_copy(rgb: Rgb) -> Rgb:
    """Return ``rgb``, uint8 (height, width, 3), with a short side of :data:`MEASURED_SIDE` pixels at most."""
    height, width = rgb.shape[:2]
    scale = MEASURED_SIDE / min(height, width)
    if scale >= 1:
        return rgb
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return cv2.resize(rgb, size, interpolation=cv2.INTER_AREA)  # type: ignore[return-value]


def phash(rgb: Rgb) -> str:
    """Return the 64-bit perceptual hash of ``rgb``, uint8 (height, width, 3), as 16 hexadecimal digits.

    The signs of the low frequencies of a DCT of a gray 32x32 copy, by imagehash; scaled by :func:`small_copy`
    first, so a copy that was scaled before gives the same hash. Two copies of a photo differ in few bits.
    """
    return str(imagehash.phash(Image.fromarray(small_copy(rgb))))


def corners(rgb: Rgb) -> Corners:
    """Return the strongest corners of ``rgb``, uint8 (height, width, 3); some of them mirrored, too.

    Empty for a photo whose short side is under :data:`LEAST_SIDE` pixels.
    """
    height, width = rgb.shape[:2]
    if min(height, width) < LEAST_SIDE:
        return np.empty(0, CORNER)
    scale = min(MEASURED_SIDE / min(height, width), MOST_LONG_SIDE / max(height, width))
    gray = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY)
    if scale != 1:
        way = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
        gray = cv2.resize(gray, None, fx=scale, fy=scale, interpolation=way)
    gray = cv2.GaussianBlur(gray, (0, 0), 1.0)  # corners of noise and of JPEG's blocks are not found again
    # A low threshold: fog has corners, too. The border is half the patch that a descriptor looks at.
    orb = cv2.ORB.create(nfeatures=CORNERS, nlevels=5, edgeThreshold=16, fastThreshold=5)
    points, words = orb.detectAndCompute(gray, None)
    strongest = sorted(points, key=lambda point: -point.response)[:MIRRORED_CORNERS]
    last = gray.shape[1] - 1
    mirrored = [
        cv2.KeyPoint(last - p.pt[0], p.pt[1], p.size, (180 - p.angle) % 360, p.response, p.octave, -1)
        for p in strongest
    ]
    seen, mirrored_words = orb.compute(cv2.flip(gray, 1), mirrored)
    return np.concatenate(
        [_packed(points, words, mirrored=False), _packed(seen, mirrored_words, mirrored=True)]
    )


def _packed(points: Sequence[cv2.KeyPoint], words: NDArray[Any] | None, *, mirrored: bool) -> Corners:
    packed = np.empty(len(points), CORNER)
    if words is not None and len(points):
        packed["x"], packed["y"] = np.array([point.pt for point in points]).T
        packed["angle"] = np.array([point.angle for point in points]) * (256 / 360) % 256
        packed["mirrored"] = mirrored
        packed["words"] = np.ascontiguousarray(words).view("<u4")
    return packed


def near(hashes: Sequence[str], *, distance: int) -> list[tuple[int, int]]:
    """Return the pairs of photos, the lower number first, whose hashes differ in at most ``distance`` bits.

    ``hashes`` are from :func:`phash`; an empty one matches no other.
    """
    known, numbers = _known(hashes)
    pairs = [found for block in _blocks(known, known) for found in _within(*block, distance)]
    return [(int(numbers[i]), int(numbers[j])) for i, j in pairs if i < j]


Sketch = NDArray[np.uint32]
"""What :func:`sketch` gives: (number,), sorted."""


def sketch(corners: Corners) -> Sketch:
    """Return the words of the ``corners`` that are not mirrored, without their positions and neighbors.

    They identify copies, cropped ones too, but no picture can be reconstructed from them.
    """
    return _mixed(corners["words"][~corners["mirrored"]])


def _mixed(words: NDArray[np.uint32]) -> Sketch:
    places = np.arange(8, dtype=np.uint32) * np.uint32(0x85EBCA6B)
    return np.unique(words * np.uint32(0x9E3779B1) + places)


class Sketched:
    """Photos of which only hashes and sketches are kept, to find copies of them."""

    def __init__(self, phashes: Sequence[str], sketches: Sequence[Sketch]) -> None:
        """``phashes`` are from :func:`phash`, ``sketches`` from :func:`sketch`; both may be empty."""
        hashes, self._numbers = _known(phashes)
        self._turned = turned(hashes)
        words = np.concatenate([np.empty(0, np.uint32), *sketches])
        owner = np.repeat(np.arange(len(sketches)), [len(one) for one in sketches])
        order = np.argsort(words, kind="stable")
        self._words, self._owner = words[order], owner[order]

    def like(self, one: Signature) -> int | None:
        """Return the number of the first photo of which ``one`` is a copy; None if there is none."""
        found: set[int] = set()
        if one.phash:
            differing = np.bitwise_count(self._turned ^ np.uint64(int(one.phash, 16)))
            same = (differing <= [NEAR] + [NEAR // 2] * 7).any(axis=1)
            found |= set(self._numbers[same].tolist())
        words = _mixed(one.corners["words"])
        first, last = (np.searchsorted(self._words, words, side=side) for side in ("left", "right"))
        times = last - first
        at = np.repeat(first - np.cumsum(times) + times, times) + np.arange(times.sum())
        owners, shared = np.unique(self._owner[at], return_counts=True)
        found |= set(owners[shared >= SAME_WORDS].tolist())
        return min(found, default=None)


def distances(phash: str, others: Sequence[str]) -> list[int]:
    """Return the number of bits, of 64, in which ``phash`` differs from each of ``others`` in any
    orientation.

    The smallest of eight: as it is, turned by 90, 180 or 270 degrees, and each of these mirrored; bits count
    twice if the photo was mirrored or turned, as in :func:`copies`. An empty hash differs in all.
    """
    theirs, numbers = _known(others)
    found = np.full(len(others), 64)
    if phash and len(theirs):
        ours = turned(np.array([int(phash, 16)], np.uint64))[0]
        differing = np.bitwise_count(theirs[:, None] ^ ours).astype(int) * ([1] + [2] * 7)
        found[numbers] = differing.min(axis=1).clip(max=64)
    return found.tolist()


def known(hashes: Sequence[str], others: Hashes, *, distance: int) -> list[bool]:
    """Return for each of ``hashes`` whether ``others`` has the hash of a copy of its photo.

    ``others`` are uint64 (number,). ``distance`` is as in :func:`copies`; hashes do not reveal crops.
    """
    ours, numbers = _known(hashes)
    found = np.zeros(len(hashes), bool)
    for start in range(0, len(others), ROWS_AT_ONCE):
        part = others[None, start : start + ROWS_AT_ONCE]
        for way, bits in zip(turned(ours).T, [distance] + [distance // 2] * 7, strict=True):
            found[numbers] |= (np.bitwise_count(way[:, None] ^ part) <= bits).any(axis=1)
    return found.tolist()


ODD = np.arange(8) % 2 == 1


def turned(hashes: Hashes) -> Hashes:
    """Return the hashes (number, 8) that photos with ``hashes``, uint64, have when mirrored and turned.

    The first is the photo's own. Mirroring a photo changes the sign of every other frequency; transposing it
    swaps their rows and columns. The median that decides the bits moves a little, so the hash of a turned
    photo differs from the one here in 4 bits, for one photo of fifty in more than 8.
    """
    places = np.arange(63, -1, -1, dtype=np.uint64)
    bits = (hashes[:, None] >> places & np.uint64(1)).astype(bool).reshape(-1, 8, 8)
    ways = []
    for grid in (bits, bits.transpose(0, 2, 1)):
        for down in (False, True):
            for across in (False, True):
                flipped = grid ^ (down & ODD[:, None]) ^ (across & ODD)
                ways.append(
                    (flipped.reshape(-1, 64).astype(np.uint64) << places).sum(axis=1, dtype=np.uint64)
                )
    return np.stack(ways, axis=1)


def copies(looks: Sequence[Signature], *, distance: int, first: int = 0) -> list[tuple[int, int]]:
    """Return the pairs of photos, the lower number first, that are copies, even if one was cropped or turned.

    Args:
        looks: one per photo.
        distance: largest number of bits, of 64, in which the hashes of two copies differ; half as many if one
            was mirrored or turned, since the best of eight hashes of an unrelated photo is closer.
        first: if not 0, only pairs of one of the first ``first`` photos with one of the others.
    """
    known, numbers = _known([one.phash for one in looks])
    found = set()
    for start, differing in _blocks(known, known):
        found |= set(_within(start, differing, distance))
    for way in turned(known).T[1:]:
        for start, differing in _blocks(known, way):
            found |= set(_within(start, differing, distance // 2))
    pairs = {(int(numbers[i]), int(numbers[j])) for i, j in found if i < j}
    for i, j, mirrored in _candidates([one.corners for one in looks], first=first):
        if (i, j) not in pairs and _fit(looks[i].corners, looks[j].corners, mirrored=mirrored):
            pairs.add((i, j))
    return sorted((i, j) for i, j in pairs if not first or i < first <= j)


def same(keys: Sequence[Hashable]) -> list[tuple[int, int]]:
    """Return pairs that join the photos with equal keys; photos with an empty key stand alone."""
    first: dict[Hashable, int] = {}
    return [(first.setdefault(key, number), number) for number, key in enumerate(keys) if key]


def components(count: int, pairs: Iterable[tuple[int, int]]) -> list[int]:
    """Return for each of ``count`` photos the number of its connected component in the graph of ``pairs``."""
    edges = np.array(list(pairs), dtype=np.int64).reshape(-1, 2)
    graph = coo_array((np.ones(len(edges), bool), (edges[:, 0], edges[:, 1])), shape=(count, count))
    return connected_components(graph, directed=False)[1].tolist()


def _known(hashes: Sequence[str]) -> tuple[Hashes, Pairs]:
    """Return the hashes that are not empty as numbers, and their indices."""
    numbers = np.array([number for number, value in enumerate(hashes) if value], np.int64)
    return np.array([int(value, 16) for value in hashes if value], np.uint64), numbers


def _blocks(hashes: Hashes, others: Hashes) -> Iterator[tuple[int, NDArray[np.uint8]]]:
    """Yield for some hashes at a time the index of the first, and the number of bits in which they differ
    from all others from that index on."""
    for start in range(0, len(hashes), ROWS_AT_ONCE):
        yield start, np.bitwise_count(hashes[start : start + ROWS_AT_ONCE, None] ^ others[None, start:])


def _within(start: int, differing: NDArray[np.uint8], distance: int) -> list[tuple[int, int]]:
    rows, columns = np.nonzero(differing <= distance)
    return list(zip((rows + start).tolist(), (columns + start).tolist(), strict=True))


def _candidates(found: Sequence[Corners], *, first: int) -> Iterator[tuple[int, int, bool]]:
    """Yield the pairs of photos whose corners are worth comparing, and whether one is to be mirrored."""
    count = len(found)
    if not sum(map(len, found)):
        return
    every = np.concatenate(found)
    owner = np.repeat(np.arange(count), [len(one) for one in found])
    angle, mirrored = every["angle"].astype(np.int64), every["mirrored"]
    buckets = [_buckets(every["words"][:, word]) for word in range(8)]
    for start in range(0, count, PHOTOS_AT_ONCE):
        keys = []
        for members in (group for groups in buckets for group in groups):
            # Members are in the order of their photos, so the left one of a pair has the lower number.
            members = members[
                (owner[members[:, 0]] < start + PHOTOS_AT_ONCE) & (owner[members[:, -1]] >= start)
            ]
            left, right = (members[:, side].ravel() for side in np.triu_indices(members.shape[1], 1))
            fits = (owner[left] != owner[right]) & ~(mirrored[left] & mirrored[right])
            fits &= (owner[left] >= start) & (owner[left] < start + PHOTOS_AT_ONCE)
            if first:
                fits &= (owner[left] < first) & (owner[right] >= first)
            left, right = left[fits], right[fits]
            flip = mirrored[left] | mirrored[right]
            # From mirrored to plain, whichever is which: the turn is the same.
            turn = np.where(mirrored[right], angle[left] - angle[right], angle[right] - angle[left])
            step = (turn + 128 // TURNS) % 256 // (256 // TURNS)
            keys.append(((owner[left] * count + owner[right]) * 2 + flip) * TURNS + step)
        together, times = np.unique(np.concatenate(keys or [np.empty(0, np.int64)]), return_counts=True)
        for key in np.unique(together[times >= AGREEING] // TURNS).tolist():
            yield key // 2 // count, key // 2 % count, bool(key % 2)


def _buckets(words: NDArray[np.uint32]) -> list[NDArray[np.int32]]:
    """Return the numbers of the corners that share a word: for each number of sharers (words, sharers)."""
    order = np.argsort(words, kind="stable").astype(np.int32)
    differs = words[order[1:]] != words[order[:-1]]
    starts = np.concatenate([[0], np.flatnonzero(differs) + 1])
    lengths = np.diff(starts, append=len(words))
    return [
        order[starts[lengths == length][:, None] + np.arange(length)]
        for length in range(2, COMMON + 1)
        if (lengths == length).any()
    ]


def _fit(one: Corners, other: Corners, *, mirrored: bool) -> bool:
    """Return whether one of two photos, moved, turned and scaled, fits onto the other by their corners."""
    if not mirrored:
        return _fits_onto(one[~one["mirrored"]], other[~other["mirrored"]])
    return _fits_onto(one[one["mirrored"]], other[~other["mirrored"]])


def _fits_onto(one: Corners, other: Corners) -> bool:
    if min(len(one), len(other)) < LEAST_FITTING:
        return False
    left, right = (np.ascontiguousarray(side["words"]).view(np.uint64) for side in (one, other))
    differing = np.bitwise_count(left[:, None] ^ right[None]).sum(axis=-1, dtype=np.uint16)
    nearest, back = differing.argmin(axis=1), differing.argmin(axis=0)
    rows = np.arange(len(one))
    same = (back[nearest] == rows) & (differing[rows, nearest] <= SAME_CORNER)
    here, there = (np.stack([s["x"], s["y"]], axis=1).astype(np.float32) for s in (one, other))
    if same.sum() < LEAST_FITTING:
        return False
    onto, fitting = cv2.estimateAffinePartial2D(
        here[same], there[nearest[same]], ransacReprojThreshold=FITS_WITHIN
    )
    if onto is None or fitting.sum() < LEAST_FITTING:
        return False
    scale = float(np.hypot(*onto[:, 0]))
    if not LEAST_SCALE <= scale <= 1 / LEAST_SCALE:
        return False
    shown = min(_shown(here, onto, there), _shown(there, cv2.invertAffineTransform(onto), here))
    return fitting.sum() >= LEAST_SHARE * shown


def _shown(points: NDArray[np.float32], onto: NDArray[Any], frame: NDArray[np.float32]) -> int:
    """Return how many of ``points``, moved by ``onto``, lie in the rectangle around ``frame``."""
    moved = points @ onto[:, :2].T + onto[:, 2]
    inside = (moved >= frame.min(axis=0)) & (moved <= frame.max(axis=0))
    return int(inside.all(axis=1).sum())
