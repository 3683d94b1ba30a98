"""Runs a sweep on a Slurm cluster, as job arrays of submitit."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ssod_mm.reporting.records import write_atomically
from ssod_mm.sweep.local import MISTAKE, Commander
from ssod_mm.sweep.plan import Plan, Stage
from ssod_mm.sweep.state import StageFolder

JOB_FILE = "slurm_job"
_GRACE_S = 20.0
_MAX_TIMEOUTS = 1000
_ACTIVE = ("PENDING", "CONFIGURING", "RUNNING", "REQUEUED", "SUSPENDED", "COMPLETING")


@dataclass(frozen=True)
class SlurmSettings:
    """What the jobs ask for.

    Attributes:
        partition: of the cluster; None for its default.
        gpus: of a training, one process each; 0 for a training on the CPU.
        cpus: of a training.
        memory_gb: of a training; None for the cluster's default.
        hours: after so many a job is requeued and goes on.
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


class StageJob:
    """One training as a job; preempted or out of time it is requeued and goes on.

    Args:
        stage: the training.
        out: folder of the sweep.
        teachers: what must be finished before.
        start: command line from the beginning.
        resume: command line from the last checkpoint.
    """

    def __init__(
        self,
        stage: Stage,
        out: Path,
        teachers: Sequence[Stage],
        start: list[str],
        resume: list[str],
    ) -> None:
        self.stage = stage
        self.out = out
        self.teachers = tuple(teachers)
        self.start = start
        self.resume = resume
        self._process: subprocess.Popen | None = None

    def __call__(self) -> str:
        """Train; says how it went.

        Raises:
            RuntimeError: a first phase is missing, or the training failed; quotes the
                end of the log.
        """
        folder = StageFolder(self.stage, self.out)
        for teacher in self.teachers:
            if not StageFolder(teacher, self.out).is_finished(True):
                raise RuntimeError(f"{self.stage.name} waits for {teacher.name}")
        lock = folder.try_lock()
        if lock is None:
            return "another process trains it"
        try:
            if folder.is_finished():
                return "finished before"
            code = self._train(folder, lock)
        finally:
            os.close(lock)
        if code == 0 and folder.is_finished():
            return "finished"
        if code == MISTAKE:
            folder.give_up(1000)
        tail = "\n".join(folder.log_tail(15))
        raise RuntimeError(f"exit code {code}; {folder.log} ends with\n{tail}")

    def _train(self, folder: StageFolder, lock: int) -> int:
        folder.prepare()
        command = self.resume if folder.is_begun else self.start
        folder.note_start()
        with folder.log.open("ab") as log:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**os.environ, "PYTHONUNBUFFERED": "1"},
                start_new_session=True,
                pass_fds=[lock],
            )
        return self._process.wait()

    def checkpoint(self) -> Any:
        """End the training and let the cluster start it again; called by submitit."""
        import submitit

        self.stop()
        StageFolder(self.stage, self.out).note_stop()
        again = StageJob(self.stage, self.out, self.teachers, self.start, self.resume)
        return submitit.helpers.DelayedSubmission(again)

    def stop(self) -> None:
        """End the training; its last checkpoint stays."""
        if self._process is None:
            return
        pid = self._process.pid
        for number in (signal.SIGTERM, signal.SIGKILL):
            if not _is_alive(pid):
                return
            with contextlib.suppress(ProcessLookupError):
                os.killpg(pid, number)
            deadline = time.monotonic() + _GRACE_S
            while _is_alive(pid) and time.monotonic() < deadline:
                time.sleep(0.05)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_process": None}


def _is_alive(pid: int) -> bool:
    """Whether a child runs.

    This is asked in a signal handler that interrupts ``Popen.wait``, which holds a
    lock: the methods of ``Popen`` would wait for ever.
    """
    try:
        flags = os.WEXITED | os.WNOHANG | os.WNOWAIT
        return os.waitid(os.P_PID, pid, flags) is None
    except ChildProcessError:
        return False


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
        plan: of the sweep.
        out: its folder, on a file system that all nodes share.
        commander: makes the command lines.
        settings: what the jobs ask for.
        retries: starts in vain after the first before a training is given up.
        say: takes one line for each array.

    Returns:
        The jobs of submitit.

    Raises:
        ModuleNotFoundError: submitit is not installed.
    """
    try:
        import submitit
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            "--slurm needs submitit: pip install 'ssod_mm[slurm]'"
        ) from error
    jobs: list[Any] = []
    earlier: list[str] = []
    for level in levels(plan):
        stages = [one for one in level if _is_wanted(one, out, retries)]
        queued = [_queued_job(one, out, settings.cluster) for one in level]
        earlier += [one for one in queued if one]
        waiting = {one.id for one, job in zip(level, queued, strict=True) if job}
        stages = [one for one in stages if one.id not in waiting]
        if not stages:
            continue
        executor = submitit.AutoExecutor(
            folder=out / "slurm",
            cluster=settings.cluster,
            slurm_max_num_timeout=_MAX_TIMEOUTS,
        )
        executor.update_parameters(**_parameters(plan, settings, earlier))
        with executor.batch():
            batch = [
                executor.submit(_job_of(plan, one, out, commander, settings))
                for one in stages
            ]
        for stage, job in zip(stages, batch, strict=True):
            folder = StageFolder(stage, out)
            folder.prepare()
            write_atomically(folder.path / JOB_FILE, f"{job.job_id}\n")
        say(f"submitted {len(batch)} trainings, jobs {batch[0].job_id} and following")
        earlier += sorted({job.job_id.split("_")[0] for job in batch})
        jobs += batch
        if settings.cluster != "slurm":  # which would wait itself
            for job in batch:
                job.exception()
    return jobs


def levels(plan: Plan) -> list[list[Stage]]:
    """The stages that need nobody, then those that need only them, and so on."""
    depth: dict[str, int] = {}
    for stage in plan.stages.values():
        depth[stage.id] = 1 + max((depth[one] for one in stage.teachers), default=-1)
    found: list[list[Stage]] = [[] for _ in range(max(depth.values(), default=-1) + 1)]
    for stage in plan.stages.values():
        found[depth[stage.id]].append(stage)
    return found


def _is_wanted(stage: Stage, out: Path, retries: int) -> bool:
    folder = StageFolder(stage, out)
    if folder.is_locked() or folder.is_finished():
        return False
    return folder.starts_in_vain() <= retries


def _queued_job(stage: Stage, out: Path, cluster: str) -> str | None:
    """The array of a job that the cluster still has for a stage."""
    note = StageFolder(stage, out).path / JOB_FILE
    if cluster != "slurm" or not note.is_file():
        return None
    import submitit

    job_id = note.read_text().strip()
    job = submitit.SlurmJob(folder=out / "slurm", job_id=job_id)
    return job_id.split("_")[0] if job.state.startswith(_ACTIVE) else None


def _job_of(
    plan: Plan, stage: Stage, out: Path, commander: Commander, settings: SlurmSettings
) -> StageJob:
    num_processes = max(1, settings.gpus)
    return StageJob(
        stage,
        out,
        [plan.stages[one] for one in stage.teachers],
        commander(stage, False, num_processes),
        commander(stage, True, num_processes),
    )


def _parameters(
    plan: Plan, settings: SlurmSettings, earlier: Sequence[str]
) -> dict[str, Any]:
    """Arguments of submitit's executor."""
    parameters: dict[str, Any] = {
        "name": plan.sweep.name,
        "timeout_min": round(60 * settings.hours),
    }
    if settings.cluster != "slurm":
        return parameters
    options = dict(settings.options)
    if earlier:
        options["dependency"] = f"afterany:{':'.join(earlier)}"
    parameters |= {
        "nodes": 1,
        "tasks_per_node": 1,
        "cpus_per_task": settings.cpus,
        "slurm_array_parallelism": settings.parallel,
        "slurm_additional_parameters": options,
    }
    if settings.gpus:
        parameters["gpus_per_node"] = settings.gpus
    if settings.memory_gb is not None:
        parameters["mem_gb"] = settings.memory_gb
    if settings.partition:
        parameters["slurm_partition"] = settings.partition
    return parameters
