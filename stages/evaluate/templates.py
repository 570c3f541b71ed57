"""Pages of one file, which open from disk without a network: templates, and pictures inside of them."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
from numpy.typing import NDArray

from ungray.imaging import photos


def render(name: str, **values: Any) -> str:
    """Return the template ``name`` of this folder as HTML with ``values``, which are escaped."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
    )
    return environment.get_template(name).render(**values)


def picture(path: Path) -> str:
    """Return the picture at ``path``, .png or .jpg, as an address that contains it."""
    kind = {".png": "image/png", ".jpg": "image/jpeg"}[path.suffix]
    return f"data:{kind};base64,{base64.b64encode(path.read_bytes()).decode()}"


def photo(rgb: NDArray[np.uint8]) -> str:
    """Return a photo, uint8 sRGB (height, width, 3), as an address that contains it."""
    content = photos.encode_rgb(rgb, suffix=".jpg", quality=90)
    return f"data:image/jpeg;base64,{base64.b64encode(content).decode()}"
