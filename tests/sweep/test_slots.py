"""Where trainings run."""

from __future__ import annotations

import pytest

from ssod_mm.sweep.slots import gpu_numbers, make_slots


def test_gpus_are_grouped():
    slots = make_slots(["0", "1", "2", "3", "4"], 2, None)
    assert [slot.environment["CUDA_VISIBLE_DEVICES"] for slot in slots] == [
        "0,1",
        "2,3",
    ]
    assert slots[0].num_processes == 2


def test_trainings_share_gpus_and_each_gpu_gets_its_first_one_first(monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr("os.cpu_count", lambda: 12)
    slots = make_slots(["0", "3"], 1, None, runs_per_gpu=3)
    gpus = [slot.environment["CUDA_VISIBLE_DEVICES"] for slot in slots]
    assert gpus == ["0", "3", "0", "3", "0", "3"]
    assert len({slot.name for slot in slots}) == 6
    assert {slot.environment["OMP_NUM_THREADS"] for slot in slots} == {"2"}
    assert {slot.num_processes for slot in slots} == {1}
    alone = make_slots(["0"], 1, None)[0]
    assert alone.environment == {"CUDA_VISIBLE_DEVICES": "0"}


@pytest.mark.parametrize(
    ("gpus", "per_run", "slots", "message"),
    [
        (["0", "1"], 2, None, "leave one of the two out"),
        ([], 1, None, "needs a GPU: on the CPU --slots"),
        (["0"], 1, 2, "needs a GPU: on the CPU --slots"),
    ],
)
def test_what_a_shared_gpu_does_not_go_with(gpus, per_run, slots, message):
    with pytest.raises(ValueError, match=message):
        make_slots(gpus, per_run, slots, runs_per_gpu=2)


def test_cpu_slots_share_the_cores(monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr("os.cpu_count", lambda: 8)
    slots = make_slots(["0"], 1, 3)
    assert len(slots) == 3
    assert slots[0].environment == {
        "CUDA_VISIBLE_DEVICES": "-1",
        "OMP_NUM_THREADS": "2",
    }


def test_too_few_gpus_are_refused():
    with pytest.raises(ValueError, match="--gpus-per-run 4, but there are 2 GPUs"):
        make_slots(["0", "1"], 4, None)
    with pytest.raises(ValueError, match="at least 1"):
        make_slots([], 1, 0)


def test_which_gpus(monkeypatch):
    assert gpu_numbers("1, 3") == ["1", "3"]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2,5")
    assert gpu_numbers(None) == ["2", "5"]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "-1")
    assert gpu_numbers(None) == []
