"""Command lines, signals and states that the tools share."""

from __future__ import annotations

import io
import os
import signal
import sys
from pathlib import Path

import pytest
from rich.console import Console

from ssod_mm.errors import UserError
from ssod_mm.sweep.display import LiveListener, NotingListener, PlainListener
from ssod_mm.sweep.execute import (
    progress,
    run_until_done,
    set_aside,
    status_lines,
    train_commander,
)
from ssod_mm.sweep.state import StageFolder
from tests.sweep.fake_sweep import make_plan, make_runner, make_stage, two_phase_plan


def test_command_lines():
    stage = make_stage("m", max_iters=10)
    command = train_commander(make_plan([stage]), Path("/out"), Path("/tools"))
    one = command(stage, False, 1)
    assert one[:3] == [sys.executable, "/tools/train.py", "m.py"]
    assert "--resume" not in one
    several = command(stage, True, 4)
    assert several[:4] == ["bash", "/tools/dist_train.sh", "m.py", "4"]
    assert several[4] == "--resume"
    assert several[5:] == one[3:]


def test_a_terminal_gets_the_live_table():
    with progress(Console(file=io.StringIO(), force_terminal=True)) as shown:
        assert isinstance(shown, LiveListener)


def test_a_log_gets_whole_lines():
    file = io.StringIO()
    with progress(Console(file=file, force_terminal=False), 7.0) as shown:
        assert isinstance(shown, PlainListener)
        assert shown.every_s == 7.0
        shown.event("x" * 200 + " [bold]")
    assert file.getvalue().endswith(f"{'x' * 200} [bold]\n")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_trainings(tmp_path, number):
    plan = two_phase_plan(1, max_iters=10**6)
    runner = make_runner(plan, tmp_path)
    before = signal.getsignal(number)

    class Interrupter:
        def event(self, text):
            pass

        def update(self, runner):
            if runner.jobs and runner.jobs[0].folder.iterations() > 0:
                signal.raise_signal(number)

    runner.listener = Interrupter()
    with pytest.raises(KeyboardInterrupt):
        run_until_done(runner)
    assert runner.jobs == []
    assert signal.getsignal(number) is before
    assert not any(
        StageFolder(stage, tmp_path).is_locked() for stage in plan.stages.values()
    )


def test_events_are_noted_and_milestones_are_events(tmp_path):
    seen, finds = [], iter([None, "half done", None])
    file = tmp_path / "log.txt"
    shown = PlainListener(seen.append, every_s=1e9)
    listener = NotingListener(shown, file, lambda runner: next(finds))
    listener.event("begun")
    listener.note("only here")
    for _ in range(3):
        listener.update(None)
    noted = [line.split(" ", 1)[1] for line in file.read_text().splitlines()]
    assert noted == ["begun", "only here", "half done"]
    assert [line.split(" ", 1)[1] for line in seen] == ["begun", "half done"]


def test_status_counts_the_states(tmp_path):
    plan = two_phase_plan(1)
    first = next(iter(plan.stages.values()))
    folder = StageFolder(first, tmp_path)
    folder.prepare()
    folder.log.write_text("Iter(train) [ 3/10]\nout of memory\n")
    *lines, last = status_lines(plan, tmp_path, retries=2)
    assert lines[0].split() == ["interrupted", "first0", "3/10"]
    assert last == "3 trainings for 2 runs: 2 waiting, 1 interrupted"
    folder.give_up(2)
    lines = status_lines(plan, tmp_path, retries=2)
    assert "    out of memory" in lines
    assert lines[-1] == "3 trainings for 2 runs: 1 failed, 2 blocked"


def test_a_resumed_training_does_not_begin_at_nought(tmp_path):
    stage = make_stage("m")
    folder = StageFolder(stage, tmp_path)
    folder.prepare()
    assert folder.iterations() == 0
    (folder.path / "iter_8.pth").touch()
    folder.log.write_text("Iter(train) [ 9/10]\n" + 20000 * "config ")
    assert folder.iterations() == 8
    with folder.log.open("a") as log:
        log.write("\nIter(train) [ 9/10]\n")
    assert folder.iterations() == 9


def test_all_is_set_aside_or_nothing(tmp_path):
    plan = two_phase_plan(1)
    folders = [StageFolder(stage, tmp_path) for stage in plan.stages.values()]
    for folder in folders[:2]:
        folder.prepare()
    lock = folders[1].try_lock()
    with pytest.raises(UserError, match="a0 is running"):
        set_aside(plan, tmp_path)
    assert folders[0].path.is_dir()
    os.close(lock)
    kept = set_aside(plan, tmp_path)
    assert len(kept) == 2
    assert all(path.is_dir() for path in kept)
    assert not folders[0].path.exists()
