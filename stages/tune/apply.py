"""Writes the best trial's values into params.yaml; everything else in it stays, including comments."""

from __future__ import annotations

import io
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedSeq
from ruamel.yaml.error import YAMLError

from stages.params import load_all
from ungray.errors import UngrayError
from ungray.system.files import whole_file


def apply(best: Path, params: Path) -> list[str]:
    """Set the values of the overlay ``best`` in the file ``params``; return one line for each change.

    Raises:
        UngrayError: there is no best trial yet, or ``params`` would become invalid; it is then not changed.
    """
    load_all(params)
    yaml = YAML()
    yaml.preserve_quotes = True
    yaml.width = 10**6  # never breaks a line
    yaml.indent(mapping=2, sequence=4, offset=2)
    content = yaml.load(params.read_text(encoding="utf-8"))
    changes = []
    for path, value in _values(_read_best(best)):
        inner = content
        for name in path[:-1]:
            inner = inner.get(name) if isinstance(inner, dict) else None
        key = ".".join(path)
        if not isinstance(inner, dict) or path[-1] not in inner:
            raise UngrayError(f"{best} sets {key}, which {params} does not have; run the search again")
        before = inner[path[-1]]
        if before != value:
            changes.append(f"{key}: {_shown(before)} -> {_shown(value)}")
            if isinstance(before, CommentedSeq):
                before[:] = value  # the list keeps its style and comment
            else:
                inner[path[-1]] = value
    written = io.StringIO()
    yaml.dump(content, written)
    with tempfile.TemporaryDirectory() as folder:
        trial = Path(folder) / params.name
        trial.write_text(written.getvalue(), encoding="utf-8", newline="\n")
        try:
            load_all(trial)
        except UngrayError as error:
            raise UngrayError(str(error).replace(str(trial), f"{best} does not fit {params}")) from None
    if changes:
        with whole_file(params) as partial:
            partial.write_text(written.getvalue(), encoding="utf-8", newline="\n")
    return changes


def _read_best(best: Path) -> dict[str, Any]:
    try:
        content = YAML(typ="safe", pure=True).load(best.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UngrayError(f"{best} not found: no trial is complete; run `python -m stages.tune`") from None
    except (YAMLError, UnicodeDecodeError):
        content = None
    if not isinstance(content, dict):
        raise UngrayError(f"{best} is damaged; `python -m stages.tune` writes it again, from its trials")
    return content


def _values(content: Mapping[str, Any], path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    for key, value in content.items():
        if isinstance(value, dict):
            yield from _values(value, (*path, str(key)))
        else:
            yield (*path, str(key)), value


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return str(list(value)) if isinstance(value, list) else str(value)
