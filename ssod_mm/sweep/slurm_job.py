"""One training as a job of Slurm: what runs on the node."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ssod_mm.sweep.local import MISTAKE
from ssod_mm.sweep.plan import Stage
from ssod_mm.sweep.state import StageFolder

_GRACE_S = 20.0
_LOCK_S = 120.0
_SIGNAL_S = 1.0


class StageJob:
    """One training as a job; preempted or out of time it is requeued and goes on.

    Slurm ends a job in several ways. Before the time limit, and before a preemption
    on clusters that say so, submitit hears SIGUSR2 and calls :meth:`checkpoint`.
    SIGTERM comes with ``scontrol requeue``, ``scancel``, and a preemption that leaves
    the job some time; it may hit the training first. In the last case Slurm requeues
    the job only if it is still there at the end of that time, so it sees to that
    itself.

    Args:
        stage: the training.
        out: output folder of the sweep.
        teachers: trainings that must be finished before.
        start: command line from the beginning.
        resume: command line from the last checkpoint.
        retries: further starts of a training that leaves no new checkpoint.
    """

    def __init__(
        self,
        stage: Stage,
        out: Path,
        teachers: Sequence[Stage],
        start: list[str],
        resume: list[str],
        retries: int = 2,
    ) -> None:
        self.stage = stage
        self.out = out
        self.teachers = tuple(teachers)
        self.start = start
        self.resume = resume
        self.retries = retries
        self._process: subprocess.Popen | None = None
        self._is_told_to_end = False

    def __call__(self) -> str:
        """Train, and return how it went.

        Raises:
            RuntimeError: a first phase is missing, or the training failed; quotes the
                end of the log.
            SystemExit: the cluster ended the job.
        """
        _on_sigterm(self._end)
        folder = StageFolder(self.stage, self.out)
        for teacher in self.teachers:
            if not StageFolder(teacher, self.out).is_finished(True):
                raise RuntimeError(f"{self.stage.name} waits for {teacher.name}")
        lock = _lock(folder)
        if lock is None:
            return "another process trains it"
        try:
            if folder.is_finished() and folder.checkpoint.is_file():
                return "finished before"
            while not self._train(folder, lock):
                if self._is_told_to_end or folder.starts_in_vain() > self.retries:
                    break
            else:
                return "finished"
        finally:
            os.close(lock)
        if self._is_told_to_end:
            _requeue_if_preempted()
            sys.exit(1)
        tail = "\n".join(folder.log_tail(15))
        code = self._process.returncode
        raise RuntimeError(f"exit code {code}; {folder.log} ends with\n{tail}")

    def _train(self, folder: StageFolder, lock: int) -> bool:
        """Start the training, wait for it and return whether it is finished."""
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
        if self._is_told_to_end:
            self.stop()
        code = self._process.wait()
        if code and _job_number():
            time.sleep(_SIGNAL_S)  # for a signal that reached the training first
        if code == MISTAKE:
            folder.give_up(self.retries)
        return code == 0 and folder.is_finished()

    def _end(self, *_: object) -> None:
        """End the training; it does not count as failed. SIGKILL may follow soon."""
        if not self._is_told_to_end:
            self._is_told_to_end = True
            StageFolder(self.stage, self.out).note_stop()
        self.stop()

    def checkpoint(self) -> Any:
        """End the training and let the cluster start it again; called by submitit."""
        import submitit

        self._end()
        again = StageJob(
            self.stage, self.out, self.teachers, self.start, self.resume, self.retries
        )
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
        return {**self.__dict__, "_process": None, "_is_told_to_end": False}


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


def _job_number() -> str | None:
    """Number of the Slurm job that this process is, or None."""
    if os.environ.get("SUBMITIT_EXECUTOR") != "slurm":
        return None
    return os.environ.get("SLURM_JOB_ID")


def _on_sigterm(handler: Any) -> None:
    """Handle SIGTERM in a job of Slurm; submitit ignores it."""
    if _job_number() and threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, handler)


def _lock(folder: StageFolder) -> int | None:
    """Take the lock; a requeued job waits until its former self has let go of it."""
    was_requeued = _job_number() and os.environ.get("SLURM_RESTART_COUNT", "0") != "0"
    deadline = time.monotonic() + (_LOCK_S if was_requeued else 0.0)
    lock = folder.try_lock()
    while lock is None and time.monotonic() < deadline:
        time.sleep(1.0)
        lock = folder.try_lock()
    return lock


def _requeue_if_preempted() -> None:
    """Requeue a job that Slurm still counts as running.

    One that was cancelled or is requeued already has another state by the time that it
    hears of it.
    """
    job = _job_number()
    if job is None:
        return
    ask = ["squeue", "--noheader", "--format=%T", f"--jobs={job}"]
    state = subprocess.run(ask, capture_output=True, text=True, check=False).stdout
    if state.strip() == "RUNNING":
        subprocess.run(["scontrol", "requeue", job], check=False)
