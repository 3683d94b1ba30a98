"""Jobs of submitit, run by its executors for one machine."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from types import SimpleNamespace

import pytest
import submitit

from ssod_mm.errors import UserError
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
    assert {job.name for job in first} == {"first0", "first1"}
    assert len(second) == 4


def test_a_whole_sweep_and_the_same_again(tmp_path):
    plan = two_phase_plan(1)
    settings = SlurmSettings(cluster="debug")
    jobs = submit(plan, tmp_path, commander(plan, tmp_path), settings)
    assert [job.result() for job in jobs] == ["finished"] * 3
    assert set(stage_states(plan, tmp_path, 2).values()) == {"finished"}
    assert submit(plan, tmp_path, commander(plan, tmp_path), settings) == []


class NamedJob(StageJob):
    """A job that says which process it is."""

    def __call__(self):
        (self.out / "pid").write_text(str(os.getpid()))
        return super().__call__()


def test_a_job_out_of_time_goes_on_from_its_checkpoint(tmp_path):
    """submitit's local executor ends and requeues a job as Slurm does."""
    stage = make_stage("long", max_iters=100)
    folder = StageFolder(stage, tmp_path)
    plan = make_plan([stage])
    executor = submitit.LocalExecutor(folder=tmp_path / "slurm", max_num_timeout=9)
    executor.update_parameters(timeout_min=2)
    plain = job_of(plan, stage, tmp_path)
    job = executor.submit(NamedJob(stage, tmp_path, [], plain.start, plain.resume))
    deadline = time.monotonic() + 60
    while not folder.is_begun:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    os.kill(int((tmp_path / "pid").read_text()), signal.SIGUSR2)
    assert job.result() == "finished"
    assert starts(stage, tmp_path) == ["resume=False", "resume=True"]
    assert not (tmp_path / stage.folder / "TWICE").exists()
    losses = folder.record().training["loss"]
    assert [step for step, _ in losses] == list(range(1, 101))


def test_a_requeued_job_carries_no_process(tmp_path):
    stage = make_stage("long", max_iters=500)
    job = job_of(make_plan([stage]), stage, tmp_path)
    folder = StageFolder(stage, tmp_path)
    ended = []

    def run():
        try:
            job()
        except SystemExit as error:
            ended.append(error.code)

    thread = threading.Thread(target=run)
    thread.start()
    while job._process is None:
        time.sleep(0.02)
    time.sleep(0.3)
    again = job.checkpoint().function
    thread.join()
    assert isinstance(again, StageJob)
    assert again._process is None
    assert ended == [1]
    assert folder.starts_in_vain() == 0
    assert not folder.is_locked()


def test_a_second_phase_without_its_first_fails(tmp_path):
    plan = two_phase_plan(1)
    _, a, _ = plan.stages.values()
    with pytest.raises(RuntimeError, match="a0 waits for first0"):
        job_of(plan, a, tmp_path)()


def test_a_failed_training_is_retried_and_shows_its_log(tmp_path):
    stage = make_stage("bad", how=["crash"])
    with pytest.raises(RuntimeError, match="out of memory, of course"):
        job_of(make_plan([stage]), stage, tmp_path)()
    assert len(starts(stage, tmp_path)) == 3


def test_a_mistake_is_not_retried(tmp_path):
    stage = make_stage("wrong", how=["mistake"])
    with pytest.raises(RuntimeError, match="exit code 2"):
        job_of(make_plan([stage]), stage, tmp_path)()
    assert len(starts(stage, tmp_path)) == 1


def test_a_removed_checkpoint_that_is_needed_is_trained_again(tmp_path):
    plan = two_phase_plan(1)
    first, a, _ = (StageFolder(stage, tmp_path) for stage in plan.stages.values())
    settings = SlurmSettings(cluster="debug")
    submit(plan, tmp_path, commander(plan, tmp_path), settings)
    first.checkpoint.unlink()
    assert submit(plan, tmp_path, commander(plan, tmp_path), settings) == []
    a.set_aside()
    jobs = submit(plan, tmp_path, commander(plan, tmp_path), settings)
    assert [job.result() for job in jobs] == ["finished"] * 2
    assert len(starts(first.stage, tmp_path)) == 2


def squeue_that(tmp_path, monkeypatch, script):
    """Put a stand-in for squeue first on the path."""
    program = tmp_path / "bin" / "squeue"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")


def test_the_queue_is_read(tmp_path, monkeypatch):
    squeue_that(tmp_path, monkeypatch, "printf '12_0\\n12_3\\n15\\n'")
    assert slurm.queued_jobs() == {"12_0", "12_3", "15"}


def test_a_queue_that_does_not_answer_is_no_empty_one(tmp_path, monkeypatch):
    squeue_that(tmp_path, monkeypatch, "echo 'Unable to contact' >&2; exit 1")
    with pytest.raises(UserError, match="squeue fails: Unable to contact"):
        slurm.queued_jobs()
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UserError, match="no squeue here"):
        slurm.queued_jobs()


def test_a_job_in_the_queue_is_not_submitted_again(tmp_path, monkeypatch):
    plan = two_phase_plan(1)
    first = StageFolder(next(iter(plan.stages.values())), tmp_path)
    first.prepare()
    (first.path / slurm.JOB_FILE).write_text("12\n")
    monkeypatch.setattr(slurm, "queued_jobs", lambda: {"12"})
    asked = []

    class Executor:
        def __init__(self, **_):
            pass

        def update_parameters(self, **parameters):
            asked.append(parameters)

        def batch(self):
            return contextlib.nullcontext()

        def submit(self, job):
            return SimpleNamespace(job_id=f"13_{job.stage.name}")

    monkeypatch.setattr(submitit, "AutoExecutor", Executor)
    jobs = submit(plan, tmp_path, commander(plan, tmp_path), SlurmSettings())
    assert [job.job_id for job in jobs] == ["13_a0", "13_b0"]
    (parameters,) = asked
    options = parameters["slurm_additional_parameters"]
    assert options["dependency"] == "afterany:12"


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
    assert options == {
        "account": "x",
        "dependency": "afterany:12:13",
        "requeue": True,
    }
    assert asked["slurm_srun_args"] == ["--cpus-per-task=8"]


def test_a_short_job_has_a_time_limit():
    asked = slurm._parameters(two_phase_plan(1), SlurmSettings(hours=0.001), [])
    assert asked["timeout_min"] == 1
