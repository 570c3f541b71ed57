import ast
from pathlib import Path

import pytest
from ruamel.yaml import YAML

ROOT = Path(__file__).parents[2]
PIPELINE = YAML(typ="safe").load(ROOT / "dvc.yaml")
STAGES = list(PIPELINE["stages"])


def imported(path):
    """The rooms of stages/ that the file at ``path`` imports, such as 'networks' or 'color'."""
    rooms = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module:
            parts = node.module.split(".")
            if parts == ["stages"]:
                rooms |= {alias.name for alias in node.names}
            elif parts[0] == "stages":
                rooms.add(parts[1])
        elif isinstance(node, ast.Import):
            rooms |= {alias.name.split(".")[1] for alias in node.names if alias.name.startswith("stages.")}
    return rooms


def sources(room):
    folder = ROOT / "stages" / room
    return sorted(folder.rglob("*.py")) if folder.is_dir() else [ROOT / "stages" / f"{room}.py"]


def needed(stage):
    """The rooms that a stage's code reaches, itself included."""
    reached, open_ends = set(), {stage}
    while open_ends:
        room = open_ends.pop()
        reached.add(room)
        open_ends |= set().union(*(imported(path) for path in sources(room))) - reached
    return reached


@pytest.mark.parametrize("stage", STAGES)
def test_the_code_a_stage_depends_on_is_the_code_it_imports(stage):
    listed = {dep for dep in PIPELINE["stages"][stage]["deps"] if dep.startswith("stages/")}
    rooms = {
        f"stages/{room}" + ("" if (ROOT / "stages" / room).is_dir() else ".py") for room in needed(stage)
    }
    assert listed == rooms


@pytest.mark.parametrize("room", [*STAGES, "colorize"])
def test_no_stage_imports_another(room):
    assert not needed(room) & ({*STAGES} - {room})


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


def test_every_output_that_dvc_tracks_is_ignored_by_git_up_front(clone):
    for stage in PIPELINE["stages"].values():
        for out in stage["outs"]:
            clone.run("git", "check-ignore", "--no-index", f"{out}/photo.jpg" if "." not in out else out)
        for out in (*stage.get("metrics", []), *stage.get("plots", [])):
            clone.run("git", "check-ignore", "--no-index", *out, fails=True)
