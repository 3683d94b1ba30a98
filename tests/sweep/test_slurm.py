"""Jobs of submitit, run by its executors for one machine."""

from __future__ import annotations

import os
import threading
import time

import pytest
import submitit

from ssod_mm.sweep import slurm
from ssod_mm.sweep.slurm import SlurmSettings, StageJob, levels, submit
from ssod_mm.sweep.state import StageFolder, stage_states
from tests.sweep.fake_sweep import commander, make_plan, make_stage, two_phase_plan


def job_of(plan, stage, out):
    return slurm._job_of(plan, stage, out, commander(plan, out), SlurmSettings(gpus=0))


def starts(stage, out):
    return (StageFolder(stage, out).path / "starts").read_text().splitlines()


def test_first_phases_come_first():
    plan = two_phase_plan(2)
    first, second = levels(plan)
    assert {one.name for one in first} == {"first0", "first1"}
    assert len(second) == 4


def test_a_whole_sweep_and_the_same_again(tmp_path):
    plan = two_phase_plan(1)
    settings = SlurmSettings(cluster="debug")
    jobs = submit(plan, tmp_path, commander(plan, tmp_path), settings)
    assert [job.result() for job in jobs] == ["finished"] * 3
    assert set(stage_states(plan, tmp_path, 2).values()) == {"finished"}
    assert submit(plan, tmp_path, commander(plan, tmp_path), settings) == []


def test_a_job_out_of_time_goes_on_from_its_checkpoint(tmp_path):
    """submitit's local executor ends and requeues a job as Slurm does."""
    stage = make_stage("long", max_iters=250)
    plan = make_plan([stage])
    executor = submitit.LocalExecutor(folder=tmp_path / "slurm", max_num_timeout=9)
    executor.update_parameters(timeout_min=6 / 60, signal_delay_s=2)
    job = executor.submit(job_of(plan, stage, tmp_path))
    assert job.result() == "finished"
    assert starts(stage, tmp_path)[-1] == "resume=True"
    assert not (tmp_path / stage.folder / "TWICE").exists()
    losses = StageFolder(stage, tmp_path).record().training["loss"]
    assert [step for step, _ in losses] == list(range(1, 251))


def test_a_requeued_job_carries_no_process(tmp_path):
    stage = make_stage("long", max_iters=500)
    job = job_of(make_plan([stage]), stage, tmp_path)
    failed = []

    def run():
        try:
            job()
        except RuntimeError as error:
            failed.append(str(error))

    thread = threading.Thread(target=run)
    thread.start()
    while job._process is None:
        time.sleep(0.02)
    time.sleep(0.3)
    again = job.checkpoint().function
    thread.join()
    assert isinstance(again, StageJob)
    assert again._process is None
    assert "exit code -15" in failed[0]
    assert not StageFolder(stage, tmp_path).is_locked()


def test_a_second_phase_without_its_first_fails(tmp_path):
    plan = two_phase_plan(1)
    _, a, _ = plan.stages.values()
    with pytest.raises(RuntimeError, match="a0 waits for first0"):
        job_of(plan, a, tmp_path)()


def test_a_failed_training_shows_its_log(tmp_path):
    stage = make_stage("bad", how=["crash"])
    with pytest.raises(RuntimeError, match="out of memory, of course"):
        job_of(make_plan([stage]), stage, tmp_path)()


def test_a_run_of_another_process_is_left_alone(tmp_path):
    stage = make_stage("m")
    lock = StageFolder(stage, tmp_path).try_lock()
    job = job_of(make_plan([stage]), stage, tmp_path)
    assert job() == "another process trains it"
    os.close(lock)
    assert job() == "finished"
    assert job() == "finished before"


def test_what_sbatch_is_asked_for():
    plan = two_phase_plan(1)
    settings = SlurmSettings("gpu", gpus=2, hours=1.5, options={"account": "x"})
    asked = slurm._parameters(plan, settings, ["12", "13"])
    assert asked["gpus_per_node"] == 2
    assert asked["timeout_min"] == 90
    assert asked["slurm_partition"] == "gpu"
    options = asked["slurm_additional_parameters"]
    assert options == {"account": "x", "dependency": "afterany:12:13"}
