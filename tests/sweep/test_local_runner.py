"""The local runner with trainings that take a fraction of a second."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from ssod_mm.errors import UserError
from ssod_mm.sweep.display import Pace, duration
from ssod_mm.sweep.local import Slot
from ssod_mm.sweep.state import StageFolder, outdated_folders, stage_states
from tests.sweep.fake_sweep import make_plan, make_runner, make_stage, two_phase_plan


def starts(folder: StageFolder) -> list[str]:
    path = folder.path / "starts"
    return path.read_text().splitlines() if path.is_file() else []


def folders(plan, out):
    return [StageFolder(stage, out) for stage in plan.stages.values()]


def records(plan, out):
    """What every training measured; its path must not count."""
    return {
        folder.stage.name: (folder.record().metrics, folder.record().training)
        for folder in folders(plan, out)
    }


def test_runs_all_in_order_and_nothing_twice(tmp_path):
    plan = two_phase_plan(2)
    lines = []
    states = make_runner(plan, tmp_path, write=lines.append).run()
    assert set(states.values()) == {"finished"}
    ends = [line for line in lines if "finished     " in line]
    value = folders(plan, tmp_path)[0].record().final("coco/bbox_mAP")
    assert len(ends) == 6
    assert any(f"first0 (0.0 min, AP {100 * value:.1f})" in line for line in ends)
    assert all(starts(folder) == ["resume=False"] for folder in folders(plan, tmp_path))
    make_runner(plan, tmp_path).run()
    assert all(len(starts(folder)) == 1 for folder in folders(plan, tmp_path))


def test_a_second_phase_starts_from_its_first(tmp_path):
    plan = two_phase_plan(1)
    make_runner(plan, tmp_path).run()
    first, a, b = folders(plan, tmp_path)
    assert a.record().metrics == b.record().metrics
    assert a.record().metrics != first.record().metrics


def test_a_failing_run_is_retried_then_given_up(tmp_path):
    good = make_stage("good")
    bad = make_stage("bad", how=["crash"])
    after = make_stage("after", teachers=[bad.id])
    plan = make_plan([bad, after, good])
    said = []
    states = make_runner(plan, tmp_path, 1, retries=2, write=said.append).run()
    assert states == {bad.id: "failed", after.id: "blocked", good.id: "finished"}
    assert len(starts(StageFolder(bad, tmp_path))) == 3
    failures = [line for line in said if "failed" in line]
    assert len(failures) == 3
    assert "out of memory, of course" in failures[0]
    assert "will be retried" in failures[1]
    assert "given up" in failures[2]
    make_runner(plan, tmp_path).run()
    assert len(starts(StageFolder(bad, tmp_path))) == 3
    StageFolder(bad, tmp_path).forgive()
    make_runner(plan, tmp_path, retries=0).run()
    assert len(starts(StageFolder(bad, tmp_path))) == 4


def test_a_mistake_is_not_retried(tmp_path):
    plan = make_plan([make_stage("wrong", how=["mistake"])])
    make_runner(plan, tmp_path, retries=5).run()
    (folder,) = folders(plan, tmp_path)
    assert len(starts(folder)) == 1


def test_a_changed_config_is_another_run(tmp_path):
    old, new = make_stage("m"), make_stage("m", lr=0.1)
    make_runner(make_plan([old]), tmp_path).run()
    plan = make_plan([new])
    assert [folder.name for folder in outdated_folders(plan, tmp_path)] == [old.folder]
    assert stage_states(plan, tmp_path, 2) == {new.id: "waiting"}
    make_runner(plan, tmp_path).run()
    assert len(starts(StageFolder(new, tmp_path))) == 1
    assert len(starts(StageFolder(old, tmp_path))) == 1


def test_a_folder_of_another_training_is_refused(tmp_path):
    stage = make_stage("m")
    folder = StageFolder(stage, tmp_path)
    folder.prepare()
    (folder.path / "stage.json").write_text('{"id": "another"}')
    with pytest.raises(ValueError, match="holds the training another"):
        make_runner(make_plan([stage]), tmp_path).run()
    assert not folder.is_locked()


def test_a_removed_checkpoint_that_is_needed_is_trained_again(tmp_path):
    plan = two_phase_plan(1)
    first, a, _ = folders(plan, tmp_path)
    make_runner(plan, tmp_path).run()
    first.checkpoint.unlink()
    make_runner(plan, tmp_path).run()
    assert len(starts(first)) == 1  # nothing needs it any more
    a.set_aside()
    make_runner(plan, tmp_path).run()
    assert len(starts(first)) == 2
    assert len(starts(a)) == 1


def test_two_sweepers_share_the_work(tmp_path):
    plan = two_phase_plan(2)
    runners = [make_runner(plan, tmp_path) for _ in range(2)]
    threads = [threading.Thread(target=runner.run) for runner in runners]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for folder in folders(plan, tmp_path):
        assert starts(folder) == ["resume=False"]
        assert not (folder.path / "TWICE").exists()


def test_ctrl_c_stops_the_trainings_and_the_next_start_goes_on(tmp_path):
    plan = make_plan([make_stage("long", max_iters=400)])
    (folder,) = folders(plan, tmp_path)
    runner = make_runner(plan, tmp_path)
    threading.Timer(1.5, runner.request_stop).start()
    with pytest.raises(KeyboardInterrupt):
        runner.run()
    assert not folder.is_locked()
    assert stage_states(plan, tmp_path, 2) == {folder.stage.id: "interrupted"}
    assert folder.starts_in_vain() == 0
    assert 0 < folder.iterations() < 400


def test_a_run_that_another_process_trains_is_left_alone(tmp_path):
    plan = make_plan([make_stage("m")])
    (folder,) = folders(plan, tmp_path)
    lock = folder.try_lock()
    assert folder.try_lock() is None
    assert stage_states(plan, tmp_path, 2) == {folder.stage.id: "running"}
    with pytest.raises(UserError, match="is running"):
        folder.set_aside()
    threading.Timer(0.5, os.close, [lock]).start()
    make_runner(plan, tmp_path).run()
    assert len(starts(folder)) == 1


def test_a_rerun_keeps_the_old_results(tmp_path):
    plan = make_plan([make_stage("m")])
    (folder,) = folders(plan, tmp_path)
    assert folder.set_aside() is None
    make_runner(plan, tmp_path).run()
    kept = folder.set_aside()
    assert json.loads((kept / "record.json").read_text())["state"] == "finished"
    make_runner(plan, tmp_path).run()
    assert starts(folder) == ["resume=False"]


def training_pids(out: Path) -> list[int]:
    """Processes whose command line names the folder, sweepers left out."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().split(b"\0")
        except OSError:
            continue
        if any(b"fake_train" in w for w in words) and any(
            str(out).encode() in w for w in words
        ):
            found.append(int(path.parent.name))
    return found


def test_killed_at_random_moments_the_records_are_those_of_an_undisturbed_sweep(
    tmp_path,
):
    plan = two_phase_plan(max_iters=40)
    make_runner(plan, tmp_path / "calm", 3).run()
    out = tmp_path / "wild"
    program = Path(__file__).with_name("fake_sweep.py")
    dice = random.Random(0)

    def sweeper():
        return subprocess.Popen(
            [sys.executable, str(program), str(out)], stdout=subprocess.DEVNULL
        )

    process = sweeper()
    num_kills = 0
    while num_kills < 10:
        time.sleep(dice.uniform(0.1, 0.5))
        if process.poll() is not None:
            assert process.returncode == -signal.SIGKILL, "ended too early to be killed"
            process = sweeper()
        victims = [process.pid] if num_kills % 2 else training_pids(out)
        if victims:
            os.kill(dice.choice(victims), signal.SIGKILL)
            num_kills += 1
    assert process.wait(60) in (0, -signal.SIGKILL)
    assert sweeper().wait(60) == 0
    assert records(plan, out) == records(plan, tmp_path / "calm")
    for folder in folders(plan, out):
        assert not (folder.path / "TWICE").exists()
    assert sum(len(starts(folder)) for folder in folders(plan, out)) > len(plan.stages)


def test_time_left_counts_what_waits(tmp_path):
    plan = two_phase_plan(1)
    runner = make_runner(plan, tmp_path, 1)
    assert Pace().seconds_left(runner) is None
    first, *_ = folders(plan, tmp_path)
    runner.plan.stages.pop(list(plan.stages)[-1])
    runner.folders.popitem()
    first.path.mkdir()
    (first.path / "record.json").write_text(
        json.dumps({"schema": 1, "name": "x", "wall_time_s": 50.0, "iterations": 10})
    )
    runner.finished = {first.stage.id}
    assert Pace().seconds_left(runner) == pytest.approx(10 * 5.0)
    runner.slots = (Slot("x"), Slot("y"))
    assert Pace().seconds_left(runner) == pytest.approx(25.0)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, "?"),
        (30, "30 s"),
        (240, "4 min"),
        (7500, "2 h 05 min"),
        (273600, "3 d 4 h"),
    ],
)
def test_time_spans_read_well(seconds, text):
    assert duration(seconds) == text
