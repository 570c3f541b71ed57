"""Ungray: a DVC-managed workflow that turns any collection of photographs into a colorizer.

Stages use the package ``ungray`` that lies beside them, whichever is installed: in a temporary clone of an
experiment or in another worktree, ``python -m stages.train`` runs the code that is there. It is bound by its
name, not found on ``sys.path``: there this folder would offer ``filter``, ``evaluate``, ``params`` to every
library.
"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path


def _bind_ungray() -> None:
    """Make ``import ungray`` mean the folder ``ungray`` here.

    Raises:
        ImportError: another copy was imported before.
    """
    init = Path(__file__).parent / "ungray" / "__init__.py"
    known = sys.modules.get("ungray")
    if known is not None:
        if known.__file__ is None or Path(known.__file__).resolve() != init.resolve():
            raise ImportError(f"ungray is {known.__file__}, not {init}; import stages before it")
        return
    spec = importlib.util.spec_from_file_location("ungray", init)
    if spec is None or spec.loader is None:
        raise ImportError(f"{init} cannot be imported")
    module = importlib.util.module_from_spec(spec)
    sys.modules["ungray"] = module
    spec.loader.exec_module(module)


_bind_ungray()

if sys.argv[:1] == ["-m"]:  # Python is about to load one of our commands, and torch with it
    from ungray.system.console import demand_folder

    demand_folder()
