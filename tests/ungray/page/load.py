"""Many visitors of the page at once: is every answer right, or a clear "busy"?"""

import asyncio
import contextlib
import io
import time
from collections import Counter

import numpy as np
from PIL import Image

from ungray.colorizer import Colorizer

from .visitor import Busy, Visitor, addresses

CLOSE = 4.0
"""Levels; how far JPEG of quality 90 may lie from what it shows, on average."""


def pixels(content):
    return np.asarray(Image.open(io.BytesIO(content)).convert("RGB")).astype(int)


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
        start = time.monotonic()
        try:
            found = await what
            good = await right(found)
        except Busy as busy:
            if "busy" in str(busy) or "Queue is full" in str(busy):
                counts["busy"] += 1
                await asyncio.sleep(0.2)
                return
            good, found = False, str(busy)
        except Exception as error:
            good, found = False, repr(error)
        took.append(time.monotonic() - start)
        counts["right" if good else "wrong"] += 1
        if not good:
            wrong.append(str(found)[:300])

    async def visit(number, content):
        async with Visitor(server.address) as visitor:

            async def shows(address, expected):
                seen = pixels(await visitor.fetch(address))
                return seen.shape == expected.shape and np.abs(seen - expected).mean() < CLOSE

            opened = []

            async def right_at_first(found):
                opened.append(found)
                return await shows(found[0][1], loud[number])

            async def right_when_pale(found):
                return await shows(addresses(found[0])[1], pale[number])

            async def right_at_last(found):
                whole = pixels(await visitor.fetch(f"/gradio_api/file={found[0]['path']}"))
                return bool((whole == loud[number]).all())

            await answered(visitor.open(f"{number}.png", content, model.stem), right_at_first)
            if not opened:
                return
            await answered(visitor.call(("Saturation", "input"), model.stem, 0.2, False), right_when_pale)
            await answered(visitor.call(("save", "click"), model.stem, 1, False, "PNG"), right_at_last)

    async def come_and_go(number, photo):
        written = io.BytesIO()
        Image.fromarray(photo).save(written, "PNG", compress_level=1)
        while time.monotonic() < end:
            await visit(number, written.getvalue())

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
