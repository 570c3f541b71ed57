"""What the machine has, as control groups of version 1 and 2 limit it."""

from stages.doctor import machine


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
    assert machine.limits(root, own) == machine.Limits(cores=2.5, memory=4000, memory_used=2500)


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
    assert machine.limits(root, own) == machine.Limits(cores=1.5, memory=8000, memory_used=4000)


def test_in_a_container_the_group_is_the_top_folder(tmp_path):
    root, own = tmp_path / "cgroup", tmp_path / "own"
    own.write_text("0::/../../somewhere/else\n")
    _group(root, cpu__max="100000 100000\n", memory__max="max\n")
    assert machine.limits(root, own) == machine.Limits(cores=1.0, memory=None, memory_used=None)


def test_no_control_groups_no_limits(tmp_path):
    none = machine.Limits(cores=None, memory=None, memory_used=None)
    assert machine.limits(tmp_path, tmp_path / "missing") == none
    (tmp_path / "own").write_text("1:cpu:/\n")
    _group(tmp_path / "cpu", cpu__cfs_quota_us="-1\n", cpu__cfs_period_us="100000\n")
    assert machine.limits(tmp_path, tmp_path / "own") == none


def test_a_containers_memory_is_what_is_told(tmp_path, monkeypatch):
    narrow = machine.Limits(cores=1.0, memory=10**9, memory_used=4 * 10**8)
    monkeypatch.setattr(machine, "limits", lambda: narrow)
    has = machine.describe({".cache": tmp_path / "not/there/yet"})
    assert has["memory"] == {"total": 10**9, "free": 6 * 10**8, "limited_by_container": True}
    assert has["disk_free"][".cache"] > 0
    assert has["cores"]["usable"] >= 1
    assert has["bf16"].keys() == {"amx", "avx512_bf16", "gpu"}


def test_the_peak_is_that_of_this_process_and_grows():
    before = machine.peak_memory()
    assert 10**7 < before < 10**11
    block = bytearray(300 * 2**20)
    block[:: 2**12] = b"1" * len(block[:: 2**12])
    assert machine.peak_memory() >= max(before, 300 * 2**20)
