"""Runs a sweep on this machine: a queue over GPUs or CPU slots."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from ssod_mm.sweep.plan import Plan, Stage
from ssod_mm.sweep.results import metric_name
from ssod_mm.sweep.state import StageFolder, stage_states

MISTAKE = 2
"""Exit code of the tools after a user's mistake; another start would not help."""
_GRACE_S = 15.0


@dataclass(frozen=True)
class Slot:
    """A place for one training.

    Attributes:
        name: what the reader sees.
        environment: variables of the training.
        num_processes: processes of the training.
    """

    name: str
    environment: dict[str, str] = field(default_factory=dict)
    num_processes: int = 1


@dataclass
class Job:
    """A running training.

    Attributes:
        folder: where it writes.
        slot: where it runs.
        process: the process.
        lock: descriptor of the folder's lock.
        start_s: time of the start, by ``time.monotonic``.
        start_iterations: iterations that were done before.
        stop_s: time at which it was told to stop; None: it was not.
    """

    folder: StageFolder
    slot: Slot
    process: subprocess.Popen
    lock: int
    start_s: float
    start_iterations: int
    stop_s: float | None = None


class Listener(Protocol):
    """Is told what happens."""

    def event(self, text: str) -> None:
        """Something began or ended."""

    def update(self, runner: LocalRunner) -> None:
        """Called about every second."""


Commander = Callable[[Stage, bool, int], list[str]]
"""From stage, whether to resume, and number of processes to a command line."""


class LocalRunner:
    """Trains what a plan still lacks; any number of them may share a folder.

    Args:
        plan: the sweep's trainings.
        out: output folder of the sweep.
        slots: where trainings run, one at a time in each.
        commander: makes the command lines.
        listener: is told what happens.
        retries: further starts of a training that leaves no new checkpoint.
        poll_s: seconds between two looks.
        stops: iteration by id after whose validation a training is stopped; it can go
            on from there later.
    """

    def __init__(
        self,
        plan: Plan,
        out: Path,
        slots: Sequence[Slot],
        commander: Commander,
        listener: Listener,
        retries: int = 2,
        poll_s: float = 1.0,
        stops: Mapping[str, int] | None = None,
    ) -> None:
        self.plan = plan
        self.out = out
        self.slots = tuple(slots)
        self.commander = commander
        self.listener = listener
        self.retries = retries
        self.poll_s = poll_s
        self.stops = stops or {}
        self.folders = {
            stage.id: StageFolder(stage, out) for stage in plan.stages.values()
        }
        self.finished: set[str] = set()
        self.jobs: list[Job] = []
        self.stop_requested = False

    def request_stop(self, *_: object) -> None:
        """Let :meth:`run` stop soon; fit for a signal handler."""
        self.stop_requested = True

    def run(self) -> dict[str, str]:
        """Train until nothing is left to do.

        Returns:
            The state of every stage.

        Raises:
            KeyboardInterrupt: after :meth:`request_stop`, all trainings are stopped.
        """
        self.finished = {
            stage_id
            for stage_id, folder in self.folders.items()
            if not folder.is_locked() and self._is_done(folder)
        }
        try:
            while not self.stop_requested:
                self._reap()
                self._fill_slots()
                if not self.jobs and not self._has_prospects():
                    break
                self.listener.update(self)
                time.sleep(self.poll_s)
        except BaseException:
            self.stop()
            raise
        if self.stop_requested:
            self.stop()
            raise KeyboardInterrupt
        return stage_states(self.plan, self.out, self.retries)

    def stop(self) -> None:
        """End all trainings; they go on from their last checkpoint later."""
        for job in self.jobs:
            _signal_group(job.process, signal.SIGTERM)
        deadline = time.monotonic() + _GRACE_S
        for job in self.jobs:
            try:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    job.process.wait(max(0.0, deadline - time.monotonic()))
            finally:
                _signal_group(job.process, signal.SIGKILL)
            job.process.wait()
            job.folder.note_stop()
            os.close(job.lock)
            self.listener.event(f"stopped      {job.folder.stage.name}")
        self.jobs.clear()

    def _is_needed(self, stage: str) -> bool:
        """Whether an unfinished training starts from this one."""
        return any(
            stage in other.teachers and not self._is_done(self.folders[other.id])
            for other in self.plan.stages.values()
        )

    def _is_done(self, folder: StageFolder) -> bool:
        """Whether nothing is left to train, with the weights that others start from."""
        if self._is_at_stop(folder):
            return True
        return folder.is_finished(self._is_needed(folder.stage.id))

    def _is_at_stop(self, folder: StageFolder) -> bool:
        stop = self.stops.get(folder.stage.id)
        return stop is not None and folder.validated() >= stop

    def _end_at_stops(self) -> None:
        """Tell trainings to stop once the result at their stop is on record."""
        now = time.monotonic()
        for job in self.jobs:
            if job.stop_s is None:
                if self._is_at_stop(job.folder):
                    job.stop_s = now
                    _signal_group(job.process, signal.SIGTERM)
            elif now - job.stop_s > _GRACE_S:
                _signal_group(job.process, signal.SIGKILL)

    def _reap(self) -> None:
        self._end_at_stops()
        for job in [job for job in self.jobs if job.process.poll() is not None]:
            self.jobs.remove(job)
            self._judge(job)
            os.close(job.lock)

    def _judge(self, job: Job) -> None:
        """Note how a training ended."""
        folder, code = job.folder, job.process.returncode
        name = folder.stage.name
        if code == 0 and folder.is_finished():
            self.finished.add(folder.stage.id)
            minutes = (time.monotonic() - job.start_s) / 60
            note = f"{minutes:.1f} min{self._result(folder)}"
            self.listener.event(f"finished     {name} ({note})")
            return
        if self._is_at_stop(folder):
            self.finished.add(folder.stage.id)
            folder.note_stop()
            note = f"{folder.validated()}/{folder.stage.max_iters}"
            self.listener.event(f"paused       {name} ({note}{self._result(folder)})")
            return
        if code == MISTAKE:
            folder.give_up(self.retries)
        if code < 0:
            how = f"was ended by {signal.Signals(-code).name}"
        else:
            how = f"exit code {code}" if code else "left no finished record"
        left = self.retries + 1 - folder.starts_in_vain()
        what = "will be retried" if left > 0 else "given up"
        tail = "\n".join(f"    {line}" for line in folder.log_tail(8))
        self.listener.event(
            f"failed       {name}: {how}, {what}; {folder.log} ends with\n{tail}"
        )

    def _result(self, folder: StageFolder) -> str:
        metric = self.plan.sweep.metric
        value = folder.record().final(metric)
        return "" if value is None else f", {metric_name(metric)} {100 * value:.1f}"

    def _fill_slots(self) -> None:
        busy = {id(job.slot) for job in self.jobs}
        for slot in self.slots:
            if id(slot) not in busy and not self._start_next(slot):
                return

    def _start_next(self, slot: Slot) -> bool:
        """Start the first training that can start; return whether there was one."""
        for stage in self.plan.stages.values():
            folder = self.folders[stage.id]
            if not self._is_startable(stage):
                continue
            lock = folder.try_lock()
            if lock is None:
                continue
            if self._is_done(folder):  # by another sweeper
                os.close(lock)
                self.finished.add(stage.id)
                continue
            try:
                self.jobs.append(self._start(folder, slot, lock))
            except BaseException:
                os.close(lock)
                raise
            return True
        return False

    def _is_startable(self, stage: Stage) -> bool:
        return (
            stage.id not in self.finished
            and self.finished.issuperset(stage.teachers)
            and self.folders[stage.id].starts_in_vain() <= self.retries
        )

    def _start(self, folder: StageFolder, slot: Slot, lock: int) -> Job:
        folder.prepare()
        resume = folder.is_begun
        command = self.commander(folder.stage, resume, slot.num_processes)
        folder.note_start()
        with folder.log.open("ab") as log:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**os.environ, **slot.environment, "PYTHONUNBUFFERED": "1"},
                start_new_session=True,  # Ctrl-C is for the sweeper, which passes it on
                pass_fds=[lock],
            )
        verb = "resumed" if resume else "started"
        self.listener.event(f"{verb}      {folder.stage.name} on {slot.name}")
        done = folder.iterations() if resume else 0
        return Job(folder, slot, process, lock, time.monotonic(), done)

    def _has_prospects(self) -> bool:
        """Whether something may still start here, or ends in another process."""
        hope = False
        for stage_id, folder in self.folders.items():
            if stage_id in self.finished:
                continue
            if folder.is_locked():
                hope = True
            elif self._is_done(folder):
                self.finished.add(stage_id)
                hope = True  # what waits for it can start now
            elif self._is_startable(folder.stage):
                hope = True
        return hope


def _signal_group(process: subprocess.Popen, number: int) -> None:
    """Signal a process and its children; those that are gone do no harm."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, number)
