import ast
import subprocess
from functools import cache
from pathlib import Path

import pytest
from ruamel.yaml import YAML

ROOT = Path(__file__).parents[2]
PIPELINE = YAML(typ="safe").load(ROOT / "dvc.yaml")
STAGES = list(PIPELINE["stages"])
FACES = {"stages", "ungray"}
"""Packages whose own file only says how they are imported."""


@cache
def modules():
    """Every module by its dotted name: ``ungray`` lies in stages/."""
    found = {}
    for path in sorted((ROOT / "stages").rglob("*.py")):
        parts = list(path.relative_to(ROOT).with_suffix("").parts)
        parts = parts[1:] if parts[1] == "ungray" else parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


@cache
def imported(module):
    """The modules that ``module`` imports, also late, with the packages that they lie in."""
    names = set()
    for node in ast.walk(ast.parse(modules()[module].read_text())):
        if isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
        elif isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
    names |= {name.rpartition(".")[0] for name in names if name.count(".") > 1}
    return {name for name in names if name in modules()} - FACES


def room(module):
    """What dvc.yaml lists for a module: its folder, or the file where it lies at a top."""
    path = modules()[module].relative_to(ROOT)
    depth = 3 if module.startswith("ungray") else 2
    return "/".join(path.parts[:depth])


def needed(start):
    """The rooms that those in ``start`` reach; a room counts as a whole."""
    rooms = {room(module): set() for module in modules()}
    for module in modules():
        if module not in FACES:
            rooms[room(module)] |= {room(name) for name in imported(module)}
    reached, open_ends = set(), {start}
    while open_ends:
        at = open_ends.pop()
        reached.add(at)
        open_ends |= rooms[at] - reached
    return reached


@pytest.mark.parametrize("stage", STAGES)
def test_the_code_a_stage_depends_on_is_the_code_it_imports(stage):
    listed = {dep for dep in PIPELINE["stages"][stage]["deps"] if dep.startswith("stages/")}
    assert listed == needed(f"stages/{stage}")


@pytest.mark.parametrize("stage", STAGES)
def test_no_stage_imports_another(stage):
    assert not needed(f"stages/{stage}") & ({f"stages/{name}" for name in STAGES} - {f"stages/{stage}"})


def test_ungray_imports_nothing_of_stages_and_nobody_imports_it_as_a_part_of_stages():
    for module in modules():
        text = modules()[module].read_text()
        assert "stages.ungray" not in text, module
        if module.startswith("ungray"):
            assert not {name for name in imported(module) if name.startswith("stages")}, module


@pytest.mark.parametrize("stage", STAGES)
def test_every_stage_has_a_description_its_params_and_outputs_that_are_not_persisted(stage):
    entry = PIPELINE["stages"][stage]
    assert entry["desc"].endswith(".")
    assert entry["cmd"] == f"python -m stages.{stage}"
    # What prepare marks is what evaluate's base knows, as near as filter's duplicates are.
    more = {"prepare": ["evaluate.base", "filter.near_duplicate_distance"]}
    assert entry["params"] == [stage, *more.get(stage, [])]
    assert "persist" not in str(entry)


@pytest.mark.parametrize("stage", STAGES)
def test_no_output_switches_dvcs_run_cache_off(stage):
    # That does one without cache that is neither metric nor plot: after a typo, the training would be lost.
    entry = PIPELINE["stages"][stage]
    assert all(isinstance(out, str) for out in entry["outs"])
    in_git = [about for kind in ("metrics", "plots") for out in entry.get(kind, []) for about in out.values()]
    assert all(about["cache"] is False for about in in_git)


@pytest.mark.parametrize("stage", STAGES)
def test_a_path_from_params_yaml_ends_in_a_slash(stage):
    # Where it does not and the value is null or empty, DVC says "unexpected error".
    paths = [dep for dep in PIPELINE["stages"][stage]["deps"] if "${" in dep]
    assert all(path.endswith("}/") for path in paths)


def test_every_data_plot_has_a_title_and_both_axes_named():
    plots = [
        *PIPELINE["plots"],
        *(plot for stage in PIPELINE["stages"].values() for plot in stage.get("plots", [])),
    ]
    named = [plot for entry in plots if isinstance(entry, dict) for plot in entry.values()]
    assert len(named) >= 10
    for plot in named:
        assert {"title", "x_label", "y_label"} <= plot.keys()


def test_every_output_that_dvc_tracks_is_ignored_by_git_up_front():
    in_dvc, in_git = set(), set()
    for stage in PIPELINE["stages"].values():
        in_dvc |= {f"{out}/photo.jpg" if "." not in out else out for out in stage["outs"]}
        in_git |= {out for kind in ("metrics", "plots") for outs in stage.get(kind, []) for out in outs}
    ignored = subprocess.run(
        ["git", "check-ignore", "--no-index", *in_dvc, *in_git],
        cwd=ROOT, capture_output=True, text=True, check=True,
    ).stdout.splitlines()  # fmt: skip
    assert set(ignored) == in_dvc
