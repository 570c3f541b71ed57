"""How large a photo may be, in bytes and pixels: of a disk, the network, a visitor of the page."""

from __future__ import annotations

MAX_BYTES = 2_000_000_000
"""Of a file, and of what it is decoded to. The largest photo that is accepted has fewer, even in 16 bits."""

MAX_PIXELS = 178_000_000
"""Of a photo, which is refused before it is decoded; just below Pillow's own limit."""

MAX_FILM_PIXELS = 40_000_000
"""Of a film's frame, of which many are in memory at a time: a little more than 8K."""

MAX_UPLOAD_BYTES = 64_000_000
"""Of a file that a visitor of the page gives, unless its command says otherwise."""

MAX_UPLOAD_PIXELS = 100_000_000
"""Of a photo that a visitor of the page gives, unless its command says otherwise."""

MAX_FILM_SECONDS = 360_000_000.0
"""Seconds, more than which no time of a film is: FFmpeg counts in 64 bits, of nanoseconds in some formats."""
