"""What the tools share to train a sweep here and to say how it stands."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console

from ssod_mm.errors import UserError
from ssod_mm.sweep.display import LiveListener, PlainListener
from ssod_mm.sweep.local import Commander, Listener, LocalRunner
from ssod_mm.sweep.plan import Plan, Stage
from ssod_mm.sweep.state import STATES, StageFolder, stage_states


def train_commander(plan: Plan, out: Path, tools: Path) -> Commander:
    """Makes the command lines of a sweep's trainings.

    Args:
        plan: the sweep's trainings.
        out: output folder of the sweep.
        tools: folder of ``train.py`` and ``dist_train.sh``.
    """

    def command(stage: Stage, resume: bool, nproc: int) -> list[str]:
        config, *options = plan.command(stage, out)
        options = [*(["--resume"] if resume else []), *options]
        if nproc > 1:
            script = str(tools / "dist_train.sh")
            return ["bash", script, config, str(nproc), *options]
        return [sys.executable, str(tools / "train.py"), config, *options]

    return command


@contextmanager
def progress(console: Console, every_s: float = 300.0) -> Iterator[Listener]:
    """A listener that shows a live table on a terminal, whole lines elsewhere.

    Args:
        console: where to write.
        every_s: seconds between two summaries where there is no terminal.
    """
    if console.is_terminal:
        with LiveListener(console) as live:
            yield live
        return

    def write(line: str) -> None:
        console.print(line, markup=False, highlight=False, soft_wrap=True)

    yield PlainListener(write, every_s)


def run_until_done(runner: LocalRunner) -> dict[str, str]:
    """Run a sweep; Ctrl-C and SIGTERM end its trainings first.

    Returns:
        The state of every stage.

    Raises:
        KeyboardInterrupt: after such a signal.
    """
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = {number: signal.signal(number, runner.request_stop) for number in numbers}
    try:
        return runner.run()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def set_aside(plan: Plan, out: Path) -> list[Path]:
    """Move the folders of all trainings away; if one cannot be moved, move none.

    Returns:
        Where the folders that existed lie now.

    Raises:
        UserError: a process trains in one of them.
    """
    folders = [StageFolder(stage, out) for stage in plan.stages.values()]
    for folder in folders:
        if folder.is_locked():
            raise UserError(f"{folder.stage.name} is running: stop it first")
    return [kept for folder in folders if (kept := folder.set_aside())]


def status_lines(plan: Plan, out: Path, retries: int) -> list[str]:
    """The state of every training, and a line that counts them.

    Args:
        plan: the sweep's trainings.
        out: output folder of the sweep.
        retries: see ``stage_states``.
    """
    states = stage_states(plan, out, retries)
    lines = []
    for stage_id, state in states.items():
        folder = StageFolder(plan.stages[stage_id], out)
        note = ""
        if state in ("running", "interrupted"):
            note = f"{folder.iterations()}/{folder.stage.max_iters}"
        lines.append(f"{state:<12} {folder.stage.name:<52} {note}".rstrip())
        if state == "failed":
            lines += [f"    {line}" for line in folder.log_tail(8)]
    counts = {state: list(states.values()).count(state) for state in STATES}
    text = ", ".join(f"{number} {state}" for state, number in counts.items() if number)
    lines.append(f"{len(states)} trainings for {len(plan.runs)} runs: {text}")
    return lines
