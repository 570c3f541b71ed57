"""What this process may use, as control groups of version 1 and 2 limit it."""

import os

import pytest

from ungray.system import cgroups


def _group(folder, **files):
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name.replace("__", ".")).write_text(text)


def test_version_2_the_narrowest_of_the_groups_around_counts(tmp_path):
    root, own = tmp_path / "cgroup", tmp_path / "own"
    own.write_text("0::/slice/job\n")
    _group(root / "slice", cpu__max="250000 100000\n", memory__max="max\n", memory__current="1\n")
    _group(
        root / "slice/job",
        cpu__max="max 100000\n",
        memory__max="4000\n",
        memory__current="3000\n",
        memory__stat="anon 1000\ninactive_file 500\n",
    )
    # The file cache gives way when memory is wanted.
    assert cgroups.limits(root, own) == cgroups.Limits(cores=2.5, memory=4000, memory_used=2500)


def test_version_1_with_its_number_for_no_limit(tmp_path):
    root, own = tmp_path / "cgroup", tmp_path / "own"
    own.write_text("4:memory:/box\n1:cpu,cpuacct:/box\n0::/\n")
    _group(root / "cpu/box", cpu__cfs_quota_us="150000\n", cpu__cfs_period_us="100000\n")
    _group(root / "memory", memory__limit_in_bytes="9223372036854771712\n")
    _group(
        root / "memory/box",
        memory__limit_in_bytes="8000\n",
        memory__usage_in_bytes="5000\n",
        memory__stat="total_inactive_file 1000\n",
    )
    assert cgroups.limits(root, own) == cgroups.Limits(cores=1.5, memory=8000, memory_used=4000)


def test_in_a_container_the_group_is_the_top_folder(tmp_path):
    root, own = tmp_path / "cgroup", tmp_path / "own"
    own.write_text("0::/../../somewhere/else\n")
    _group(root, cpu__max="100000 100000\n", memory__max="max\n")
    assert cgroups.limits(root, own) == cgroups.Limits(cores=1.0, memory=None, memory_used=None)


def test_no_control_groups_no_limits(tmp_path):
    none = cgroups.Limits(cores=None, memory=None, memory_used=None)
    assert cgroups.limits(tmp_path, tmp_path / "missing") == none
    (tmp_path / "own").write_text("1:cpu:/\n")
    _group(tmp_path / "cpu", cpu__cfs_quota_us="-1\n", cpu__cfs_period_us="100000\n")
    assert cgroups.limits(tmp_path, tmp_path / "own") == none


@pytest.mark.parametrize(
    ("quota", "usable"),
    [("max", 8), ("50000", 1), ("150000", 2), ("200000", 2), ("6400000", 8)],
)
def test_cores_are_those_that_both_the_process_and_its_groups_have(tmp_path, monkeypatch, quota, usable):
    own = tmp_path / "own"
    own.write_text("0::/\n")
    _group(tmp_path / "cgroup", cpu__max=f"{quota} 100000\n")
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(8)), raising=False)
    monkeypatch.setattr(cgroups, "CGROUPS", tmp_path / "cgroup")
    monkeypatch.setattr(cgroups, "OWN_CGROUPS", own)
    assert cgroups.cores() == usable
