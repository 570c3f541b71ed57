"""What a person is told, in sentences."""

import copy

import pytest

from stages.doctor.advice import cost_advice, machine_advice
from stages.doctor.cost import Cost
from stages.doctor.page import cost_lines, duration, filesize, machine_lines
from stages.doctor.plan import PhotoCounts, plan

HAS = {
    "system": "Linux 6, x86_64",
    "processor": "a processor",
    "cores": {"usable": 2, "quota": None, "installed": 4},
    "memory": {"total": 16 * 10**9, "free": 8 * 10**9, "limited_by_container": False},
    "disk_free": {".cache": 10**12, "data": 10**12},
    "bf16": {"amx": False, "avx512_bf16": True, "gpu": False},
    "gpus": [],
    "mps": False,
    "nvidia_driver": False,
    "busy": 0.0,
    "versions": {"python": "3.11.7", "torch": None},
}
NO_BF16 = {"bf16": {"amx": False, "avx512_bf16": False, "gpu": False}}
COST = {
    "device": "cpu", "precision": "bf16", "parameters": 4_330_000, "measured_batch": 30,
    "photos_per_second": 10.0, "validated_per_second": 20.0, "memory": 10**9, "gpu_memory": None,
    "fits": True, "largest_batch": 100, "model_file": 8_700_000, "checkpoint_file": 52_000_000,
}  # fmt: skip


@pytest.fixture
def says(tiny):
    """What is said, given what is other than on a machine with which all is well."""

    def said(*, has=None, cost=None, source="given", train=1200, **machine):
        params = tiny["train"].model_copy(update={"batch_size": 30, "working_size": 128, "epochs": 2})
        where = tiny["machine"].model_copy(update={"precision": "auto", **machine})
        photos = PhotoCounts(train, train, train // 10, source)
        found = Cost(**COST | (cost or {}))
        here = copy.deepcopy(HAS) | (has or {})
        planned = plan(params, photos, found)
        lines = cost_lines(params, where, cost=found, photos=photos, plan=planned)
        return cost_advice(params, where, here, cost=found, photos=photos, plan=planned), "\n".join(lines)

    return said


def test_where_all_is_well_nothing_is_said(says):
    advice, lines = says()
    assert advice == []
    assert "unet (4.33 M parameters) at 128 pixels, l1, batches of 30, cpu, bf16" in lines
    assert "10 photos a second" in lines
    assert "2.1 minutes for 1200 photos and copies, as you say" in lines
    assert "52 MB a checkpoint, 8.7 MB the model" in lines


def test_fp32_for_want_of_bf16_says_what_it_costs(says):
    (sentence,), _ = says(has=NO_BF16, cost={"precision": "fp32"})
    assert "because the processor has neither AMX nor AVX512-BF16" in sentence
    assert "expect it to be slower" in sentence


def test_bf16_that_is_not_used_or_only_emulated_is_named(says):
    (sentence,), _ = says(cost={"precision": "fp32"}, precision="fp32")
    assert "machine.precision is fp32, but this processor multiplies bf16" in sentence
    (sentence,), _ = says(has=NO_BF16, precision="bf16")
    assert "only emulates bf16" in sentence


def test_a_batch_too_large_for_memory_says_what_fits(says):
    few = {"fits": False, "largest_batch": 11, "measured_batch": 8, "memory": 20 * 10**9}
    (sentence,), lines = says(cost=few)
    assert "a batch of 30 at 128 pixels needs about 20 GB" in sentence
    assert "(8 GB free)" in sentence
    assert "lower train.batch_size to 11, or set machine.accumulation to 3" in sentence
    assert "measured with batches of 8" in lines
    assert "20 GB, predicted" in lines
    (sentence,), lines = says(cost=few | {"device": "cuda", "gpu_memory": 10**10, "largest_batch": None})
    assert "does not fit into the memory of the GPU: lower train.batch_size to 8" in sentence
    assert "10 GB of the GPU" in lines


def test_a_full_disk_a_long_training_and_an_assumption_are_told(says):
    (sentence,), _ = says(has={"disk_free": {".cache": 10**7}})
    assert "in .cache" in sentence
    (_, sentence), _ = says(train=1_000_000, has={"disk_free": {".cache": 10**9}})
    assert "takes about 58 hours" in sentence
    assert "train.minutes" in sentence
    (sentence,), _ = says(source="assumed")
    assert "1200 train photos and copies are assumed; --photos N" in sentence
    (sentence,), _ = says(devices=2)
    assert "one of 2 devices" in sentence


def test_a_gpu_out_of_reach_is_told():
    (driver,) = machine_advice(HAS | {"nvidia_driver": True}, {})
    assert "torch finds no GPU" in driver
    assert machine_advice(HAS, {}) == []


def test_a_cache_that_fills_the_disk_is_told():
    has = HAS | {"disk_free": {".cache": 10**9, "data": 10**9}}
    caches = {".cache/pixels": {"bytes": 3 * 10**9, "files": 3}, "data/raw": {"bytes": 10**11, "files": 9}}
    (sentence,) = machine_advice(has, caches)
    assert "`make clean-cache` frees 3 GB" in sentence


def test_the_machine_in_lines():
    gpu = {"name": "A GPU", "capability": "9.0", "memory": 80 * 10**9, "memory_free": 79 * 10**9}
    text = "\n".join(machine_lines(HAS | {"gpus": [gpu]}, {".dvc/cache": {"bytes": 0, "files": 0}}))
    assert "2 usable of 4" in text
    assert "native, by the processor's AVX512-BF16" in text
    assert "A GPU (compute capability 9.0), 79 GB of 80 GB free" in text
    assert "torch missing" in text
    assert "8 GB free of 16 GB" in text
    bare = "\n".join(machine_lines(HAS | NO_BF16, {}))
    assert "none that torch can use" in bare
    assert "not native" in bare
    assert "no stage has run here yet" in bare


@pytest.mark.parametrize(
    ("count", "said"),
    [
        (0, "0 bytes"),
        (1800, "1.8 kB"),
        (52e6, "52 MB"),
        (999e6, "999 MB"),
        (1.44e9, "1.4 GB"),
        (2e12, "2000 GB"),
    ],
)
def test_sizes_as_people_say_them(count, said):
    assert filesize(count) == said


@pytest.mark.parametrize(
    ("minutes", "said"),
    [(0.2, "12 seconds"), (3.94, "3.9 minutes"), (77, "77 minutes"), (300, "5 hours"), (14400, "10 days")],
)
def test_times_as_people_say_them(minutes, said):
    assert duration(minutes) == said


def test_a_machine_with_other_work_says_what_threads_cost_there(says):
    busy = {"busy": 1.94}
    (sentence,), lines = says(has=busy, cost={"threads": 2, "photos_per_second": 3.1, "single_thread": 62.0})
    assert "other programs keep 1.9 of 2 cores busy" in sentence
    assert "2 threads do 3.1 photos a second now, one does 62: set machine.threads to 1" in sentence
    assert "cpu, bf16, 2 threads" in lines
    (sentence,), _ = says(has=busy, cost={"threads": 2, "photos_per_second": 80.0, "single_thread": 62.0})
    assert "80 photos a second now, one does 62; machine.threads sets the number" in sentence
    shown = "\n".join(machine_lines(HAS | busy, {}))
    assert "2 usable of 4, 1.9 of them busy with other programs" in shown
    assert "busy" not in "\n".join(machine_lines(HAS, {}))
