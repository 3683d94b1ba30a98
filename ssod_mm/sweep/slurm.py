"""Runs a sweep on a Slurm cluster, as job arrays of submitit."""

from __future__ import annotations

import math
import os
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ssod_mm.errors import UserError
from ssod_mm.reporting.records import write_atomically
from ssod_mm.sweep.local import Commander
from ssod_mm.sweep.plan import Plan, Stage
from ssod_mm.sweep.slurm_job import StageJob
from ssod_mm.sweep.state import StageFolder

JOB_FILE = "slurm_job"
_MAX_TIMEOUTS = 1000


@dataclass(frozen=True)
class SlurmSettings:
    """What the jobs ask for.

    Attributes:
        partition: partition of the cluster; None for its default.
        gpus: GPUs of a training, one process each; 0 for a training on the CPU.
        cpus: CPU cores of a training.
        memory_gb: memory of a training; None for the cluster's default.
        hours: time limit of a job, after which it is requeued and goes on.
        parallel: trainings at a time.
        options: further options of sbatch, such as ``{"account": "x"}``.
        cluster: "slurm", or "local" and "debug" to try without one.
    """

    partition: str | None = None
    gpus: int = 1
    cpus: int = 8
    memory_gb: float | None = None
    hours: float = 24.0
    parallel: int = 16
    options: dict[str, Any] = field(default_factory=dict)
    cluster: str = "slurm"


def submit(
    plan: Plan,
    out: Path,
    commander: Commander,
    settings: SlurmSettings,
    retries: int = 2,
    say: Callable[[str], None] = lambda text: None,
) -> list[Any]:
    """Submit what a sweep lacks, first phases before second ones.

    What is finished, running, given up or in the queue already is left out, so that
    the same command again submits only what has fallen out.

    Args:
        plan: the sweep's trainings.
        out: its folder, on a file system that all nodes share.
        commander: makes the command lines.
        settings: what the jobs ask for.
        retries: further starts without a new checkpoint before a training is given up.
        say: is called with one line for each job array.

    Returns:
        The jobs of submitit.

    Raises:
        UserError: submitit is not installed.
        UserError: Slurm does not answer, or does not take the jobs.
    """
    try:
        import submitit
    except ModuleNotFoundError as error:
        raise UserError(
            "--slurm needs submitit: pip install 'ssod_mm[slurm]'"
        ) from error
    jobs: list[Any] = []
    earlier: list[str] = []
    queue = queued_jobs() if settings.cluster == "slurm" else set()
    for level in levels(plan):
        noted = {stage.id: _noted_job(stage, out) for stage in level}
        waiting = {stage_id: job for stage_id, job in noted.items() if job in queue}
        earlier += sorted({job.split("_")[0] for job in waiting.values()})
        stages = [
            stage
            for stage in level
            if stage.id not in waiting and _is_wanted(stage, plan, out, retries)
        ]
        if not stages:
            continue
        executor = submitit.AutoExecutor(
            folder=out / "slurm",
            cluster=settings.cluster,
            slurm_max_num_timeout=_MAX_TIMEOUTS,
        )
        executor.update_parameters(**_parameters(plan, settings, earlier))
        try:
            with executor.batch():
                batch = [
                    executor.submit(
                        _job_of(plan, stage, out, commander, settings, retries)
                    )
                    for stage in stages
                ]
        except submitit.core.utils.FailedJobError as error:
            raise UserError(f"--slurm: {error}") from error
        for stage, job in zip(stages, batch, strict=True):
            folder = StageFolder(stage, out)
            folder.prepare()
            write_atomically(folder.path / JOB_FILE, f"{job.job_id}\n")
        say(f"submitted {len(batch)} trainings, jobs {batch[0].job_id} and following")
        earlier += sorted({job.job_id.split("_")[0] for job in batch})
        jobs += batch
        if settings.cluster != "slurm":  # Slurm waits by itself
            for job in batch:
                job.exception()
    return jobs


def levels(plan: Plan) -> list[list[Stage]]:
    """The stages that need no other, then those that need only these, and so on."""
    depth: dict[str, int] = {}
    for stage in plan.stages.values():
        depth[stage.id] = 1 + max(
            (depth[teacher_id] for teacher_id in stage.teachers), default=-1
        )
    by_depth: list[list[Stage]] = [
        [] for _ in range(max(depth.values(), default=-1) + 1)
    ]
    for stage in plan.stages.values():
        by_depth[depth[stage.id]].append(stage)
    return by_depth


def queued_jobs() -> set[str]:
    """Numbers of the user's jobs that wait, run, or are requeued.

    The controller knows them: ``sacct``, which submitit asks, needs accounting, and
    hears of a job later.

    Raises:
        UserError: Slurm does not answer.
    """
    command = ["squeue", "--noheader", "--array", "--format=%i"]
    try:
        result = subprocess.run(
            [*command, f"--user={os.getuid()}"],
            capture_output=True,
            text=True,
            check=True,
        )
    except FileNotFoundError:
        raise UserError("--slurm: no squeue here, is this a Slurm cluster?") from None
    except subprocess.CalledProcessError as error:
        raise UserError(f"--slurm: squeue fails: {error.stderr.strip()}") from None
    return set(result.stdout.split())


def _noted_job(stage: Stage, out: Path) -> str | None:
    """Number of the job that was last submitted for a stage."""
    note = StageFolder(stage, out).path / JOB_FILE
    return note.read_text().strip() if note.is_file() else None


def _is_wanted(stage: Stage, plan: Plan, out: Path, retries: int) -> bool:
    folder = StageFolder(stage, out)
    is_needed = any(
        stage.id in other.teachers and not StageFolder(other, out).is_finished()
        for other in plan.stages.values()
    )
    if folder.is_locked() or folder.is_finished(is_needed):
        return False
    return folder.starts_in_vain() <= retries


def _job_of(
    plan: Plan,
    stage: Stage,
    out: Path,
    commander: Commander,
    settings: SlurmSettings,
    retries: int = 2,
) -> StageJob:
    num_processes = max(1, settings.gpus)
    return StageJob(
        stage,
        out,
        [plan.stages[teacher_id] for teacher_id in stage.teachers],
        commander(stage, False, num_processes),
        commander(stage, True, num_processes),
        retries,
    )


def _parameters(
    plan: Plan, settings: SlurmSettings, earlier: Sequence[str]
) -> dict[str, Any]:
    """Arguments of submitit's executor."""
    parameters: dict[str, Any] = {
        "name": plan.sweep.name,
        "timeout_min": math.ceil(60 * settings.hours),
    }
    if settings.cluster != "slurm":
        return parameters
    options = {"requeue": True, **settings.options}
    if earlier:
        options["dependency"] = f"afterany:{':'.join(earlier)}"
    parameters |= {
        "nodes": 1,
        "tasks_per_node": 1,
        "cpus_per_task": settings.cpus,
        "slurm_array_parallelism": settings.parallel,
        "slurm_additional_parameters": options,
        # From Slurm 22.05 a step no longer takes this over from its job.
        "slurm_srun_args": [f"--cpus-per-task={settings.cpus}"],
    }
    if settings.gpus:
        parameters["gpus_per_node"] = settings.gpus
    if settings.memory_gb is not None:
        parameters["mem_gb"] = settings.memory_gb
    if settings.partition:
        parameters["slurm_partition"] = settings.partition
    return parameters
