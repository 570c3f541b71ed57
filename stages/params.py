"""Loads params.yaml and checks every section against its typed model before any work starts.

The model of section ``name`` is the class ``Params`` in ``stages/<name>/params.py``. The model of the
section ``machine``, which only sets where and how fast to run, is in this module. All defaults are
in params.yaml.

``python -m stages.params`` checks the file, and that the files and folders it names exist; it prints nothing
if all is well.
"""

from __future__ import annotations

import difflib
import importlib
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from ungray.errors import UngrayError
from ungray.system.console import run_command

STAGES = ("scrape", "filter", "prepare", "train", "evaluate", "export", "tune")

RENAMED = {"prepare.size": "prepare.photo_size"}
"""Keys of earlier versions, and their names now.

No tracked key may be called size or nfiles: DVC ignores such keys, at any depth, when it looks up a run in
its cache, and would restore the outputs of another value (treeverse/dvc#10296).
"""

MOST = 1_000_000_000
"""The upper bound of numbers of steps, epochs and minutes, which have no natural one."""

Seed = Annotated[int, Field(ge=0, le=2**32 - 1)]
"""A seed that all random number generators accept: PyTorch's, NumPy's and Optuna's."""


class Section(BaseModel):
    """A section of params.yaml: frozen, without unknown keys and infinities; ``"3"`` is not 3."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    def check_environment(self) -> None:
        """Raise an UngrayError if something that the section names is missing; only quick checks."""


class Machine(Section):
    """Where and how fast to run; it affects results by rounding at most, so no stage depends on it."""

    workers: int = Field(ge=0, le=1024, description="processes for photo work; 0 = one per core")
    scheduler: str = Field(description="address of a Dask scheduler for photo work; empty = none")
    stream: str = Field(description="address of the shards that train reads; empty = data/prepared")
    device: Literal["auto", "cpu", "cuda", "mps"]
    precision: Literal["auto", "fp32", "bf16"]
    threads: int = Field(ge=0, le=1024, description="of a training process; 0 = one per core it may use")
    devices: int = Field(ge=1, le=1024, description="processes or GPUs per machine")
    nodes: int = Field(ge=1, le=1024, description="machines")
    strategy: Literal["auto", "ddp"]
    accumulation: int = Field(ge=1, le=4096, description="parts in which a batch is computed")
    compile: bool
    checkpoint_minutes: float = Field(
        gt=0, le=MOST, description="minutes of training between two checkpoints"
    )
    checkpoint_steps: int = Field(ge=0, le=MOST, description="steps between two checkpoints; 0 = by minutes")

    @property
    def photo_workers(self) -> int | str:
        """The ``workers`` of :func:`stages.runtime.processes.map_photos`: a number, or a scheduler."""
        return self.scheduler or self.workers


S = TypeVar("S", bound=Section)


def load(section: str, model: type[S], *, path: Path = Path("params.yaml")) -> S:
    """Return one section of ``path`` as its typed model, after checking all sections.

    Raises:
        UngrayError: the file is missing or not YAML, or a section or key is unknown, missing, of the wrong
            type or out of range; the message names key, value and what is allowed.
    """
    checked = load_all(path)
    found = checked[section]
    if not isinstance(found, model):
        raise TypeError(f"section {section!r} is described by {type(found).__name__}, not {model.__name__}")
    return found


def load_all(path: Path = Path("params.yaml"), *, changes: Sequence[str] = ()) -> dict[str, Section]:
    """Return every section of ``path`` by name, with ``changes`` (section.key=value); see :func:`load`."""
    content = read_yaml(path)
    for change in changes:
        put(content, *setting(change))
    return check(content, origin=str(path))


def check(content: dict[str, Any], *, origin: str) -> dict[str, Section]:
    """Return every section of ``content``, which came from ``origin``, by name; see :func:`load`."""
    models: dict[str, type[Section]] = {"machine": Machine}
    for stage in STAGES:
        models[stage] = importlib.import_module(f"stages.{stage}.params").Params
    complaints = [f"section {name!r} is missing" for name in models if name not in content]
    complaints += [_unknown(name, list(models)) for name in content if name not in models]
    sections: dict[str, Section] = {}
    for name in models.keys() & content.keys():
        try:
            sections[name] = models[name].model_validate(content[name])
        except ValidationError as error:
            items = error.errors(include_url=False)
            # Pydantic also reports a list with a bad item as too short: the item's own error is enough.
            lists = {item["loc"][:-1] for item in items if len(item["loc"]) > 1}
            # If a key has its old name, the error about the old name is enough: not "missing" as well.
            found = {".".join([name, *map(str, item["loc"])]) for item in items}
            renamed = {tuple(new.split(".")[1:]) for old, new in RENAMED.items() if old in found}
            complaints += [
                explain(name, models[name], item) for item in items if item["loc"] not in lists | renamed
            ]
        except UngrayError as error:  # of values that are valid, but not together
            complaints.append(str(error))
    if complaints:
        raise UngrayError(f"{origin}: " + "; ".join(sorted(complaints)))
    return sections


def read_yaml(path: Path) -> dict[str, Any]:
    """Return the content of the YAML file ``path``, which must be a mapping; nothing else is checked.

    Raises:
        UngrayError: it is missing, or not YAML.
    """
    try:
        # YAML 1.2, which DVC uses: 1e-3 is a number there, but a string in YAML 1.1.
        content = YAML(typ="safe", pure=True).load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UngrayError(
            f"{path} not found in {Path.cwd()}; run from the top folder of the repository"
        ) from None
    except (YAMLError, UnicodeDecodeError) as error:
        mark = getattr(error, "problem_mark", None)
        where = f", line {mark.line + 1}" if mark else ""
        raise UngrayError(f"{path}{where} is not valid YAML; `git diff {path}` shows what changed") from None
    if not isinstance(content, dict):
        raise UngrayError(f"{path} contains no sections; `git checkout {path}` restores it")
    return content


def setting(text: str) -> tuple[str, Any]:
    """Return the dotted key and the value of ``text``, ``section.key=value`` with the value in YAML.

    Raises:
        UngrayError: it is not in this form.
    """
    key, equals, value = text.partition("=")
    try:
        found = YAML(typ="safe", pure=True).load(value)
    except YAMLError:
        equals = ""
    if not (equals and all(key.strip().split(".")) and "." in key):
        raise UngrayError(f"{text} is not valid; write section.key=value, such as train.lr=0.0005")
    return key.strip(), found


def put(content: dict[str, Any], key: str, value: Any) -> None:
    """Set the dotted ``key`` of the nested ``content`` to ``value``.

    Raises:
        UngrayError: a part of the key, other than the last, is a value and not a section.
    """
    *sections, last = key.split(".")
    for section in sections:
        content = content.setdefault(section, {})
        if not isinstance(content, dict):
            raise UngrayError(f"{key} is unknown: {section} is a value of params.yaml, not a section")
    content[last] = value


def _unknown(key: str, known: list[str]) -> str:
    near = difflib.get_close_matches(str(key), known, n=1)
    return f"{key} is unknown" + (f"; did you mean {near[0]}?" if near else f"; known: {', '.join(known)}")


def explain(section: str, model: type[Section], item: Any) -> str:
    """Return a sentence on ``item``, an error that pydantic reports for a section described by ``model``."""
    key = ".".join(str(part) for part in item["loc"])
    if item["type"] == "extra_forbidden":
        *path, last = item["loc"]
        if new := RENAMED.get(f"{section}.{key}"):
            return f"{section}.{key} is now called {new}; rename it here and wherever else it is set"
        for part in path:
            model = _section_below(model, str(part))
        return ".".join([section, *map(str, path), _unknown(last, list(model.model_fields))])
    if item["type"] == "missing":
        return f"{section}.{key} is missing"
    rule = re.sub(r"^(Value error, |Input should |\w+ should (?=have ))", "", item["msg"])
    rule = re.sub(r"^have (at least|at most) (.*?)( after validation)?, not .*", r"have \1 \2", rule)
    verb = "" if rule.startswith(("be ", "have ")) else "be "
    name = f"{section}.{key}" if key else section
    return f"{name} = {item['input']!r} is not allowed: it must {verb}{rule}"


def _section_below(model: type[Section], key: str) -> type[Section]:
    below = model.model_fields[key].annotation
    if not (isinstance(below, type) and issubclass(below, Section)):
        raise TypeError(f"{model.__name__}.{key} is not a section")
    return below


def main() -> None:
    """Check params.yaml."""
    for section in load_all().values():
        section.check_environment()


if __name__ == "__main__":
    run_command(main)
