"""Many visitors of the page at once: is every answer right, or a clear "busy"?"""

import asyncio
import contextlib
import io
import time
from collections import Counter

import numpy as np
from PIL import Image

from ungray.colorizer import Colorizer

from .visitor import Busy, Visitor

CLOSE = 4.0
"""Levels; how far JPEG of quality 90 may lie from what it shows, on average."""


def pixels(content):
    return np.asarray(Image.open(io.BytesIO(content)).convert("RGB")).astype(int)


def shows(expected):
    """A function that returns whether a picture to display shows the colors ``expected``."""

    def right(content):
        seen = pixels(content)
        return seen.shape == expected.shape and np.abs(seen - expected).mean() < CLOSE

    return right


def in_png(photo):
    written = io.BytesIO()
    Image.fromarray(photo).save(written, "PNG", compress_level=1)
    return written.getvalue()


async def keep_many(server, photos, model):
    """Have one visitor bring all ``photos`` (RGB arrays), look at each, and keep them; then download each.

    Returns what :func:`load` returns.
    """
    colorizer = Colorizer.load(model)
    counts, wrong, took, memory = Counter(), [], [], [server.memory()]

    async def answered(ask, right):
        while True:
            start = time.monotonic()
            try:
                found = await ask()
            except Busy:
                counts["busy"] += 1
                await asyncio.sleep(0.2)
                continue
            took.append(time.monotonic() - start)
            memory.append(server.memory())
            good = right(found)
            counts["right" if good else "wrong"] += 1
            if not good:
                wrong.append(str(found)[:300])
            return found

    async with Visitor(server.address) as visitor:
        kept = []
        for number, photo in enumerate(photos):
            content, size = in_png(photo), photo.shape[1::-1]
            kept.append(await answered(
                lambda name=f"{number}.png", content=content: visitor.open(name, content),
                lambda found, size=size: (found["width"], found["height"]) == size,
            ))  # fmt: skip
            colored = colorizer.colorize(photo)
            await answered(lambda: visitor.preview(kept[-1]), shows(colored))
        for photo, brought in zip(kept, photos, strict=True):
            expected = colorizer.colorize(brought)
            await answered(
                lambda photo=photo: visitor.whole(photo, format="PNG"),
                lambda found, expected=expected: bool((pixels(found[1]) == expected).all()),
            )
        counts["kept at the end"] = len(await visitor.photos())
    return counts, wrong, took, memory


async def load(server, photos, model, *, seconds):
    """Have a visitor for each of ``photos`` (RGB arrays, all different) use the page for so long.

    Each opens its photo, moves a control, downloads, and leaves, over and over; where the page is busy it
    waits a little. Returns counts by answer, right, busy or wrong; what was wrong; the seconds that answers
    took; and the server's memory in MiB, looked at ten times a second.
    """
    colorizer = Colorizer.load(model)
    loud = [colorizer.colorize(photo) for photo in photos]
    pale = [colorizer.colorize(photo, saturation=0.2) for photo in photos]
    counts, wrong, took, memory = Counter(), [], [], []
    end = time.monotonic() + seconds

    async def answered(what, right):
        """Return the answer, None if the page was busy or wrong."""
        start = time.monotonic()
        try:
            found = await what
            good = right(found)
        except Busy:
            counts["busy"] += 1
            await asyncio.sleep(0.2)
            return None
        except Exception as error:
            good, found = False, repr(error)
        took.append(time.monotonic() - start)
        counts["right" if good else "wrong"] += 1
        if not good:
            wrong.append(str(found)[:300])
        return found if good else None

    async def visit(number, content):
        async with Visitor(server.address) as visitor:
            opening = visitor.open(f"{number}.png", content)
            size = photos[number].shape[1::-1]
            photo = await answered(opening, lambda found: (found["width"], found["height"]) == size)
            if photo is None:
                return
            await answered(visitor.preview(photo), shows(loud[number]))
            await answered(visitor.preview(photo, saturation=0.2), shows(pale[number]))
            whole = visitor.whole(photo, format="PNG")
            await answered(whole, lambda found: bool((pixels(found[1]) == loud[number]).all()))

    async def come_and_go(number, photo):
        content = in_png(photo)
        while time.monotonic() < end:
            await visit(number, content)

    async def look():
        while True:
            memory.append(server.memory())
            await asyncio.sleep(0.1)

    looking = asyncio.create_task(look())
    await asyncio.gather(*(come_and_go(*one) for one in enumerate(photos)))
    looking.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await looking
    return counts, wrong, took, memory
