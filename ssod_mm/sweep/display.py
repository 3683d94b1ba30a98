"""Progress of a sweep on the terminal, with the time that is left."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from pathlib import Path

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table

from ssod_mm.sweep.local import Job, Listener, LocalRunner


class Pace:
    """Seconds per iteration of each config, from finished and running trainings."""

    def __init__(self) -> None:
        self._measured: dict[str, float] = {}

    def seconds_left(self, runner: LocalRunner) -> float | None:
        """Seconds until a runner's sweep ends; None while nothing tells the pace.

        Waiting trainings are shared among the slots, as if none needed another.
        """
        self._look_at_finished(runner)
        running = {job.folder.stage.id: job for job in runner.jobs}
        paces = {stage_id: job_pace(job) for stage_id, job in running.items()}
        stages = runner.plan.stages
        known = dict(self._measured)
        for stage_id, pace in paces.items():
            if pace is not None:
                known.setdefault(stages[stage_id].config, pace)
        if not known:
            return None
        usual = statistics.mean(known.values())
        left = 0.0
        for stage_id, folder in runner.folders.items():
            if (
                stage_id in runner.finished
                or folder.starts_in_vain() > runner.retries + 1
            ):
                continue
            rest = max(0, stages[stage_id].max_iters - folder.iterations())
            left += rest * (
                paces.get(stage_id) or known.get(stages[stage_id].config, usual)
            )
        return left / len(runner.slots)

    def _look_at_finished(self, runner: LocalRunner) -> None:
        for stage_id in runner.finished:
            stage = runner.plan.stages[stage_id]
            if stage.config in self._measured:
                continue
            record = runner.folders[stage_id].record()
            if record is not None and record.iterations:
                pace = record.wall_time_s / record.iterations
                self._measured[stage.config] = pace


def job_pace(job: Job) -> float | None:
    """Seconds per iteration of a running training; None before its first."""
    done = job.folder.iterations() - job.start_iterations
    return (time.monotonic() - job.start_s) / done if done > 0 else None


def duration(seconds: float | None) -> str:
    """A time span for people: ``3 d 4 h``, ``2 h 05 min``, ``4 min``, ``30 s``."""
    if seconds is None:
        return "?"
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    hours, days = minutes // 60, minutes // 1440
    if days:
        return f"{days} d {hours % 24} h"
    return f"{hours} h {minutes % 60:02d} min" if hours else f"{minutes} min"


class PlainListener:
    """Writes whole lines, for logs: each event, and a summary every so often.

    Args:
        write: takes a line.
        every_s: seconds between two summaries.
    """

    def __init__(self, write: Callable[[str], None], every_s: float = 300.0) -> None:
        self.write = write
        self.every_s = every_s
        self._last_s = time.monotonic()
        self._pace = Pace()

    def event(self, text: str) -> None:
        """Write what happened, with the time."""
        self.write(f"{time.strftime('%H:%M:%S')} {text}")

    def update(self, runner: LocalRunner) -> None:
        """Write a summary now and then."""
        if time.monotonic() - self._last_s < self.every_s:
            return
        self._last_s = time.monotonic()
        done, total = len(runner.finished), len(runner.plan.stages)
        left = duration(self._pace.seconds_left(runner))
        self.event(f"{done} of {total} trainings finished, about {left} left")
        for job in runner.jobs:
            stage = job.folder.stage
            count = f"{job.folder.iterations()}/{stage.max_iters}"
            self.event(f"  running {stage.name} on {job.slot.name}: {count}")


class NotingListener:
    """Passes everything on, notes the events in a file, and looks for milestones.

    Args:
        listener: gets everything.
        file: text file to append the events to.
        look: called at each update; what it returns is one more event.
    """

    def __init__(
        self,
        listener: Listener,
        file: Path,
        look: Callable[[LocalRunner], str | None] = lambda runner: None,
    ) -> None:
        self.listener = listener
        self.file = file
        self.look = look

    def event(self, text: str) -> None:
        """Pass on and note."""
        self.listener.event(text)
        self.note(text)

    def note(self, text: str) -> None:
        """Write it to the file alone."""
        with self.file.open("a", encoding="utf-8") as sink:
            sink.write(f"{time.strftime('%H:%M:%S')} {text}\n")

    def update(self, runner: LocalRunner) -> None:
        """Pass on, and look."""
        self.listener.update(runner)
        event = self.look(runner)
        if event:
            self.event(event)


class LiveListener:
    """A table of the running trainings that stays at the bottom of the terminal.

    Args:
        console: where to draw.
    """

    def __init__(self, console: Console) -> None:
        self.console = console
        self._live = Live(console=console, refresh_per_second=2, transient=True)
        self._pace = Pace()

    def __enter__(self) -> LiveListener:
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def event(self, text: str) -> None:
        """Print what happened above the table."""
        self.console.print(
            f"{time.strftime('%H:%M:%S')} {text}", markup=False, highlight=False
        )

    def update(self, runner: LocalRunner) -> None:
        """Redraw."""
        self._live.update(self.picture(runner))

    def picture(self, runner: LocalRunner) -> Group:
        """The table and the line below it."""
        table = Table(box=None, pad_edge=False, show_header=False)
        for job in runner.jobs:
            stage, done = job.folder.stage, job.folder.iterations()
            pace = job_pace(job)
            left = None if pace is None else pace * (stage.max_iters - done)
            table.add_row(
                job.slot.name,
                stage.name,
                ProgressBar(total=stage.max_iters, completed=done, width=24),
                f"{done}/{stage.max_iters}",
                f"{duration(left)} left",
            )
        done, total = len(runner.finished), len(runner.plan.stages)
        left = duration(self._pace.seconds_left(runner))
        line = Table(box=None, pad_edge=False, show_header=False)
        line.add_row(
            ProgressBar(total=max(1, total), completed=done, width=24),
            f"{done} of {total} trainings, {left} left; Ctrl-C stops cleanly",
        )
        return Group(table, line)
