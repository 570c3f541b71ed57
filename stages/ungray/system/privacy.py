"""Keeps libraries from sending telemetry, checking for updates, and writing files outside of the cache.

They read these environment variables when they are loaded, and so do the processes that we start. The
variables are set when :mod:`ungray` is imported, and :mod:`stages` imports it: so this covers the command,
the page, programs, stages and their workers. Variables that the user has set are kept.
"""

from __future__ import annotations

import os
from pathlib import Path

from ungray.system.files import main_checkout

SILENT = {
    # Since 1.29 onnxruntime reports to Microsoft when it is loaded (except on CI): its API comes too late.
    "ORT_DISABLE_TELEMETRY": "1",
    "NO_ALBUMENTATIONS_UPDATE": "1",
    "DVC_NO_ANALYTICS": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
}
"""Switches off telemetry and checks for updates."""

KEPT = {"MPLCONFIGDIR": "matplotlib", "TORCHINDUCTOR_CACHE_DIR": "torchinductor"}
"""Cache folders that would be in the home or temporary folder, and their names in our working cache."""

CHECKOUT = Path(__file__).parents[3]


def silence_libraries() -> None:
    """Set all variables that the environment does not have yet."""
    for name, value in SILENT.items():
        os.environ.setdefault(name, value)
    if (CHECKOUT / "dvc.yaml").is_file():  # else it is installed, without a working cache
        cache = main_checkout(CHECKOUT) / ".cache"
        for name, folder in KEPT.items():
            os.environ.setdefault(name, str(cache / folder))
