"""The style of all charts."""

from __future__ import annotations

from typing import Any

BLUE, ORANGE, GRAY = "#0072b2", "#d55e00", "#777777"
"""Blue and vermilion can be told apart with every kind of color vision (Okabe and Ito 2008)."""

STYLE: dict[Any, Any] = {
    "font.size": 11,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlelocation": "left",
    "legend.frameon": False,
}
"""What matplotlib's ``rc_context`` takes."""
