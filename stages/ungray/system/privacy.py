"""What the libraries we use must not do: report to their makers, ask for updates, leave files elsewhere.

They read it from the environment when they are loaded, and so do the processes we start. Whoever imports
anything of ours passes here first, since :mod:`ungray` does, and :mod:`stages` imports that: the command, the
page, a program, a stage and its workers. What a user has set already stays.
"""

from __future__ import annotations

import os
from pathlib import Path

from ungray.system.files import main_checkout

SILENT = {
    # From 1.29 it reports to Microsoft once it is loaded, but for CI; what its API offers comes too late.
    "ORT_DISABLE_TELEMETRY": "1",
    "NO_ALBUMENTATIONS_UPDATE": "1",
    "DVC_NO_ANALYTICS": "1",
    "GRADIO_ANALYTICS_ENABLED": "False",
    "HF_HUB_DISABLE_TELEMETRY": "1",
}
"""Reports and checks for updates, switched off."""

KEPT = {"MPLCONFIGDIR": "matplotlib", "TORCHINDUCTOR_CACHE_DIR": "torchinductor"}
"""What would be kept in the home folder or the temporary one, and its place in our working cache."""

CHECKOUT = Path(__file__).parents[3]


def silence_libraries() -> None:
    """Set all of it, as far as the environment doesn't say otherwise."""
    for name, value in SILENT.items():
        os.environ.setdefault(name, value)
    if (CHECKOUT / "dvc.yaml").is_file():  # else it is installed without a working cache
        cache = main_checkout(CHECKOUT) / ".cache"
        for name, folder in KEPT.items():
            os.environ.setdefault(name, str(cache / folder))
