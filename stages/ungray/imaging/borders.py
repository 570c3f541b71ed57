"""Mounts and frames around photos: found by their even tone and their straight, sharp inner edges.

A network colors them like everything else, mostly blue or brown, but paper, mats and the bars of a film are
gray. What merely reaches the edge of a photo (sky, a studio background, snow, the night around the moon) has
no straight edge on two opposite sides, and is not a border.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from ungray.imaging.color import Float

Gray = NDArray[np.uint16]
SAMPLES = 400
"""Number along the short side; a border is looked for in these, and its edges are then found in all
pixels."""
LEAST = 16
"""Pixels of the short side below which no border is looked for."""

# In 8-bit levels:
LEVEL = 257
"""One 8-bit level in 16-bit levels."""
EVEN = 10
"""Largest difference of a border's outermost samples from a slow change of tone."""
STEP = 10
"""Smallest difference of a photo from its border where the photo begins."""
DRIFT = 1.5
"""Largest change of a border's tone from one sample to the next, due to light falloff."""
ALIKE = 20
"""Largest difference of borders on opposite sides."""

# Shares:
MOSTLY = 0.95
"""Smallest share of a border's samples that have its tone; the rest may be dust or a caption."""
DEPTH = 0.42
"""Largest share of the height or width that a border takes on one side."""
SLANT = 0.04
"""Largest slope of a border's edge: a scan may be crooked by two degrees."""
RATHER_LEVEL = 0.85
"""Share of the best line's points with which a line of slope 0 is preferred."""
FAINT, STRAIGHT, VERY_STRAIGHT = 0.25, 0.6, 0.7
"""Smallest share of an edge that is seen on one straight line, since a photo may have its border's tone in
places: if all sides have one tone, if three have such an edge, if only two have."""
TOGETHER, FAINT_TOGETHER = 1.5, 1.9
"""Smallest sum of the shares of the four edges if all sides have one tone; if only means of blocks show
it."""
EARLY = 0.05
"""Largest share of an edge before which something else begins."""

BLOCKS = 24
"""Parts of a side; their means show fainter edges than single samples do, as of a gray sky in a gray
mount."""
LEAST_JUMP, JUMP_TO_NOISE = 1.0, 4.5
"""Smallest change of such a mean at an edge: in 8-bit levels, and relative to its noise in a border."""
BLOCK = 9
"""Pixels before an edge in which JPEG's 8-pixel blocks show ringing."""

OPPOSITE = ({0, 1}, {2, 3})
"""Pairs of opposite sides, which are numbered top, bottom, left, right."""
NESTED = 3
"""Largest number of nested borders: the scanner's lid, the mount, the print's own white edge."""


class Edge(NamedTuple):
    """A straight edge: at pixel ``at`` of a side, the border is ``offset + slope * at`` pixels deep."""

    offset: float
    slope: float

    def depths(self, length: int) -> Float:
        """Return the depth at each of the side's ``length`` pixels, float32, 0 or more."""
        return np.maximum(self.offset + self.slope * np.arange(length, dtype=np.float32), 0).astype(
            np.float32
        )


NONE = Edge(0, 0)


@dataclass(frozen=True)
class Border:
    """The border of a photo of ``height`` x ``width`` pixels; edges run rightward along top and bottom,
    downward along left and right."""

    height: int
    width: int
    top: Edge = NONE
    bottom: Edge = NONE
    left: Edge = NONE
    right: Edge = NONE

    def holds(self, x: float, y: float) -> bool:
        """Return whether the point ``x`` pixels from the left and ``y`` from the top is on the border."""
        across, down = (x, self.width - x), (y, self.height - y)
        return any(
            distance < edge.offset + edge.slope * at
            for edge, distance, at in zip(
                (self.top, self.bottom, self.left, self.right), (*down, *across), (x, x, y, y), strict=True
            )
        )

    def pixels(self, rows: slice) -> Iterator[tuple[slice, slice | NDArray[np.bool_]]]:
        """Yield the border's pixels in ``rows``: some rows at a time, with the columns or their mask."""
        if not any(edge.slope for edge in (self.top, self.bottom, self.left, self.right)):
            yield from self._level(rows)
            return
        above, below = (edge.depths(self.width) for edge in (self.top, self.bottom))
        left, right = (edge.depths(self.height) + np.float32(0.5) for edge in (self.left, self.right))
        whole, some = (above.min(), below.min()), (above.max(), below.max())
        for number in range(rows.start, rows.stop):
            row = slice(number, number + 1)
            down, up = number + 0.5, self.height - number - 0.5  # the position of a pixel is its center
            if down < whole[0] or up < whole[1]:
                yield row, slice(None)
                continue
            if down < some[0] or up < some[1]:
                yield row, (down < above) | (up < below)
            yield row, slice(0, int(left[number]))
            yield row, slice(self.width - int(right[number]), self.width)

    def _level(self, rows: slice) -> Iterator[tuple[slice, slice]]:
        top, bottom, left, right = (
            int(edge.offset + 0.5) for edge in (self.top, self.bottom, self.left, self.right)
        )
        first = min(max(rows.start, top), rows.stop)
        last = max(min(rows.stop, self.height - bottom), first)
        yield slice(rows.start, first), slice(None)
        yield slice(last, rows.stop), slice(None)
        yield slice(first, last), slice(0, left)
        yield slice(first, last), slice(self.width - right, self.width)


def find(gray: Gray) -> Border | None:
    """Return the border around a gray photo, uint16 (height, width), levels of the sRGB curve; None if none.

    A border has nearly one tone on each side, similar on opposite sides, and ends in a straight, sharp edge
    on at least two opposite sides; the edge may be faint if all four sides are similar. A side of the same
    tone without such an edge is assumed to be as deep as the shallowest of the others.
    """
    height, width = gray.shape
    edges = [NONE] * 4
    top, bottom, left, right = 0, height, 0, width
    for _ in range(NESTED):
        if min(bottom - top, right - left) < LEAST:
            break
        found = _edges(gray[top:bottom, left:right])
        if found is None:
            break
        begins, outside = (left, left, top, top), (top, height - bottom, left, width - right)
        for side, edge in enumerate(found):
            if edge != NONE:  # in pixels of the whole photo: an edge continues straight to both ends
                edges[side] = Edge(outside[side] + edge.offset - edge.slope * begins[side], edge.slope)
        # One pixel beyond the edge, where the two are blended.
        inner = [
            int(np.ceil(edge.depths(length).max())) + 1 if edge != NONE else 0
            for edge, length in zip(edges, (width, width, height, height), strict=True)
        ]
        top, bottom, left, right = inner[0], height - inner[1], inner[2], width - inner[3]
    return None if edges == [NONE] * 4 else Border(height, width, *edges)


@dataclass(frozen=True)
class _Side:
    """A side of a photo as seen from it: row 0 is the outermost."""

    pixels: Gray
    step: int
    """Pixels from one sample to the next."""

    def outermost(self) -> Float:
        """Return its outermost samples in 8-bit levels, float32 (length,)."""
        row = self.pixels[min(self.step // 2 + 1, len(self.pixels) - 1), self.step // 2 :: self.step]
        return cv2.blur(row.astype(np.float32)[None] / LEVEL, (3, 1))[0]

    def samples(self) -> Float:
        """Return its samples in 8-bit levels, float32 (depth, length), smoothed over 3 x 3 samples."""
        rows = int(len(self.pixels) * DEPTH)
        taken = self.pixels[self.step // 2 : rows : self.step, self.step // 2 :: self.step]
        return np.asarray(cv2.blur(taken.astype(np.float32) / LEVEL, (3, 3)), dtype=np.float32)


def _edges(gray: Gray) -> list[Edge] | None:
    """Return the inner edges of a border at top, bottom, left and right; None where there is no border."""
    step = max(1, min(gray.shape) // SAMPLES)
    sides = [_Side(view, step) for view in (gray, gray[::-1], gray.T, gray.T[::-1])]
    tones = [_even_tone(side.outermost()) for side in sides]
    even = {n for n, tone in enumerate(tones) if tone is not None}
    if not any(pair <= even for pair in OPPOSITE):
        return None  # true of nearly every photo
    traces = {n: _trace(sides[n], tone) for n, tone in enumerate(tones) if tone is not None}
    means = {n: trace.tone for n, trace in traces.items()}
    seen = _seen(traces)
    if len(traces) == 4 and max(means.values()) - min(means.values()) <= ALIKE:
        traces = {n: _fainter(sides[n], trace) for n, trace in traces.items()}
        seen = _seen(traces, together=TOGETHER if seen else FAINT_TOGETHER)
    if not seen:
        return None
    edges = [traces[n].edge if n in seen else NONE for n in range(4)]
    least = min(float(edges[n].depths(sides[n].pixels.shape[1]).min()) for n in seen)
    for n in even - seen:
        if min(abs(means[n] - means[other]) for other in seen) <= ALIKE and traces[n].even_to(least / step):
            edges[n] = Edge(least, 0)
    return edges


def _seen(traces: Mapping[int, _Trace], *, together: float = TOGETHER) -> set[int]:
    """Return the sides, 0 to 3, whose traced edges are those of a border; empty if there is no border.

    ``together`` is the sum of the four edges' shares that is enough if all sides have one tone.
    """
    straight = {n for n, trace in traces.items() if trace.share >= STRAIGHT}
    very = {n for n, trace in traces.items() if trace.share >= VERY_STRAIGHT and trace.early <= EARLY}
    faint = {n for n, trace in traces.items() if trace.share >= FAINT and trace.early <= EARLY} | straight
    tones = [trace.tone for trace in traces.values()]
    if len(traces) == 4 and max(tones) - min(tones) <= ALIKE:
        return faint if sum(traces[n].share for n in faint) >= together else set()
    opposite = [
        pair for pair in OPPOSITE if pair <= straight and np.ptp([traces[n].tone for n in pair]) <= ALIKE
    ]
    if opposite and len(straight) >= 3:
        return straight
    return {n for pair in opposite if pair <= very for n in pair}


def _even_tone(samples: Float) -> Float | None:
    """Return the slow change of tone along a side, float32 (length,); None if its tone is not even."""
    curves, fit = _curves(len(samples))
    tone = curves @ (fit @ samples)
    close = np.abs(samples - tone) <= EVEN
    if close.mean() < MOSTLY:
        return None
    if not close.all():  # dust
        tone = curves @ np.linalg.lstsq(curves[close], samples[close], rcond=None)[0]
    return tone.astype(np.float32)


@lru_cache(maxsize=16)
def _curves(length: int) -> tuple[Float, Float]:
    """Return a basis of slow changes, float32 (length, 3), and its pseudoinverse for least-squares fits."""
    curves = np.polynomial.legendre.legvander(np.linspace(-1, 1, length), 2)
    return curves.astype(np.float32), np.linalg.pinv(curves).astype(np.float32)


@dataclass(frozen=True)
class _Trace:
    """What was found going inward from a side."""

    begins: NDArray[np.intp]
    """The sample at which the photo begins in each column; the number of samples if it does not."""
    edge: Edge
    share: float
    """Share of the edge on which it is seen."""
    early: float
    """Share of the edge before which something else begins."""
    tone: float
    """Mean tone of the side, in 8-bit levels."""

    def even_to(self, depth: float) -> bool:
        """Return whether the side has its tone down to ``depth`` samples."""
        return bool((self.begins >= depth - 1).mean() >= MOSTLY)


def _trace(side: _Side, tone: Float) -> _Trace:
    samples = side.samples()
    difference = samples - tone
    # Where light falls off a border's tone drifts; where the photo begins it jumps.
    medians = np.median(difference, axis=1)
    jumps = np.flatnonzero(np.abs(np.diff(medians)) > DRIFT)
    if len(jumps):
        medians[jumps[0] + 1 :] = medians[jumps[0]]
    differs = np.abs(difference - medians[:, None]) > STEP
    differs[:-1] &= differs[1:]  # a speck is no edge
    begins = np.where(differs.any(axis=0), differs.argmax(axis=0), len(samples))
    inside = np.flatnonzero(begins < len(samples))
    mean = float(tone.mean())
    nothing = _Trace(begins, NONE, 0.0, 1.0, mean)
    if len(inside) < LEAST:
        return nothing
    first, last = np.percentile(inside, (2, 98)).astype(int)  # beyond are the borders of the adjacent sides
    if last - first < len(begins) * 0.3:
        return nothing
    inside = inside[(inside >= first) & (inside <= last)]
    line = _straight(inside.astype(float), begins[inside].astype(float), tolerance=1.25)
    on_it = inside[line.near]
    share = len(on_it) / (last - first + 1)
    ends = line.edge.offset + line.edge.slope * np.array([first, last])
    if share < FAINT or ends.min() < 0.5 or _jump(samples, begins, on_it) < STEP:
        return nothing
    early = float((begins[inside] < line.edge.offset + line.edge.slope * inside - 2).sum()) / (
        last - first + 1
    )
    return _Trace(begins, _in_pixels(side, line.edge, on_it), share, early, mean)


def _fainter(side: _Side, trace: _Trace) -> _Trace:
    """Return a trace by block means if ``trace`` has no edge, or if a straight one lies before its edge."""
    samples = side.samples()
    width = samples.shape[1] // BLOCKS
    if len(samples) < LEAST or width < 3:
        return trace
    means = samples[:, : BLOCKS * width].reshape(len(samples), BLOCKS, width).mean(axis=2)
    jumps = np.abs(means[2:] - means[:-2])
    noise = np.median(jumps[:3]) / 0.67
    over = jumps > max(LEAST_JUMP, JUMP_TO_NOISE * noise)
    blocks = np.flatnonzero(over.any(axis=0))
    if len(blocks) < BLOCKS * FAINT:
        return trace
    first = over.argmax(axis=0)[blocks]
    steepest = np.minimum(first[:, None] + np.arange(4), len(jumps) - 1)
    begins = first + jumps[steepest, blocks[:, None]].argmax(axis=1) + 1.5
    line, near = _straight(blocks.astype(float), begins, tolerance=1.25)
    depth = line.offset + line.slope * blocks
    length = blocks[-1] - blocks[0] + 1
    share, early = float(near.sum() / length), float((begins < depth - 2).sum() / length)
    known = trace.share >= STRAIGHT or (trace.share >= FAINT and trace.early <= EARLY)
    if share < (STRAIGHT if known else FAINT) or early > EARLY or length < BLOCKS * 0.3 or depth.min() < 2.5:
        return trace
    slope = line.slope / width
    edge = Edge((line.offset - slope * (width - 1) / 2) * side.step, slope)
    pixels = side.pixels.shape[1]
    if known and edge.depths(pixels).mean() > trace.edge.depths(pixels).mean() - max(BLOCK, 3 * side.step):
        return trace
    return _Trace(trace.begins, edge, share, early, trace.tone)


def _jump(samples: Float, begins: NDArray[np.intp], columns: NDArray[np.intp]) -> float:
    """Return how much the tone changes over three samples where the photo begins."""
    before = samples[np.maximum(begins[columns] - 2, 0), columns]
    after = samples[np.minimum(begins[columns] + 1, len(samples) - 1), columns]
    return float(np.median(np.abs(after - before)))


class _Line(NamedTuple):
    edge: Edge
    near: NDArray[np.bool_]
    """Which of the points are on it."""


def _straight(at: NDArray[np.float64], depth: NDArray[np.float64], *, tolerance: float) -> _Line:
    """Return the line with the most points within ``tolerance``, preferring a line of slope 0."""
    picked = np.unique(np.linspace(0, len(at) - 1, 32).astype(int))
    one, other = (picked[which] for which in np.triu_indices(len(picked), 1))
    far = at[other] - at[one] > (at[-1] - at[0]) / 4
    one, other = one[far], other[far]
    slopes = (depth[other] - depth[one]) / (at[other] - at[one])
    one, slopes = one[np.abs(slopes) <= SLANT], slopes[np.abs(slopes) <= SLANT]
    one, slopes = np.concatenate([picked, one]), np.concatenate([np.zeros(len(picked)), slopes])
    offsets = depth[one] - slopes * at[one]
    near = np.abs(depth - offsets[:, None] - slopes[:, None] * at) <= tolerance
    counts = near.sum(axis=1)
    level = counts[: len(picked)].argmax()
    if counts[level] >= RATHER_LEVEL * counts.max():
        return _Line(Edge(float(np.mean(depth[near[level]])), 0.0), near[level])
    best = near[counts.argmax()]
    slope, offset = np.polyfit(at[best], depth[best], 1)
    return _Line(Edge(float(offset), float(slope)), best)


def _in_pixels(side: _Side, edge: Edge, columns: NDArray[np.intp]) -> Edge:
    """Return an edge, found in samples at ``columns``, to a pixel: where half of the step is reached."""
    step, width = side.step, side.pixels.shape[1]
    reach = 3 * step + 3
    at, depth = [], []
    for column in columns[:: max(1, len(columns) // 96)]:
        middle = int(column) * step + step // 2
        near = round((edge.offset + edge.slope * int(column)) * step)
        first = max(0, near - reach)
        part = side.pixels[first : near + reach, max(0, middle - 1) : min(width, middle + 2)]
        tones = part.mean(axis=1) / LEVEL
        tone, photo = np.median(tones[: max(2, step)]), np.median(tones[-max(2, step) :])
        beyond = np.flatnonzero(np.abs(tones - tone) > max(STEP, abs(photo - tone)) / 2)
        if len(beyond):
            at.append(middle)
            depth.append(first + int(beyond[0]))
    if len(at) < 8:
        return Edge(edge.offset * step, edge.slope)
    return _straight(np.array(at, float), np.array(depth, float), tolerance=1.0).edge
