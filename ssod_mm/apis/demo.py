"""The demo: a sweep on one label split, trained on this machine and compared."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from argparse import Namespace
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from mmengine.logging import MMLogger
from rich.console import Console

from ssod_mm.cli.own_data import read_own_data
from ssod_mm.cli.tool_files import tools_folder
from ssod_mm.errors import UserError
from ssod_mm.sweep.display import NotingListener
from ssod_mm.sweep.execute import (
    progress,
    run_until_done,
    set_aside,
    status_lines,
    train_commander,
)
from ssod_mm.sweep.local import LocalRunner, Slot
from ssod_mm.sweep.plan import Plan, plan_sweep
from ssod_mm.sweep.results_page import early_table, write_comparison
from ssod_mm.sweep.slots import gpu_numbers, make_slots
from ssod_mm.sweep.spec import Sweep, load_sweep
from ssod_mm.sweep.state import StageFolder, outdated_folders, stage_states

FIRST_ROWS = ("supervised", "mean_teacher")
"""Compared as soon as both are finished; alone by default on your own data."""
RETRIES = 1
SUMMARY_S = 30.0


@dataclass(frozen=True)
class Demo:
    """What a demo trains.

    Attributes:
        sweep: rows of one label split with one seed.
        data_root: folder of the images.
        is_embedded: whether these are the shapes.
        percent: labelled images in percent.
        fold: label split.
    """

    sweep: Sweep
    data_root: Path
    is_embedded: bool
    percent: float
    fold: int


def make_demo(arguments: Namespace) -> Demo:
    """What the command line asks for.

    Raises:
        FileNotFoundError: the folder of the user lacks something; says what.
        ValueError: a value that does not fit.
    """
    is_embedded = arguments.data is None
    sweep = load_sweep("shapes" if is_embedded else "folder")
    if is_embedded and arguments.pretrained:
        raise UserError("--pretrained is for --data: the shapes are drawn, not photos")
    if is_embedded:
        root, name, options = Path(os.environ.get("DATA_ROOT", "data/shapes")), "", {}
        rows = arguments.rows
    else:
        data = read_own_data(arguments.data)
        root, name = data.root, data.root.name
        options = data.options(arguments.pretrained or os.environ.get("PRETRAINED"))
        rows = arguments.rows or list(FIRST_ROWS)
    percent = sweep.ratios[0] if arguments.percent is None else arguments.percent
    sweep = sweep.select(
        None if rows == ["all"] else rows, [percent], [arguments.fold], [arguments.seed]
    )
    lengths = [{}, {}]
    if arguments.iters is not None:
        if min(arguments.iters) < 1:
            raise UserError(f"--iters {arguments.iters}: at least 1 for each phase")
        lengths = [{"max_iters": length} for length in arguments.iters]
    sweep = sweep.with_options({**options, **lengths[1]}, {**options, **lengths[0]})
    title = f"{name or sweep.title}, {percent:g} % labels, fold {arguments.fold}"
    sweep = replace(sweep, title=title)
    return Demo(sweep, root, is_embedded, percent, arguments.fold)


def prepare_data(demo: Demo) -> None:
    """Draw the shapes and make the label split where they are missing.

    Raises:
        UserError: one of them failed.
    """
    if demo.is_embedded:
        call_tool("make_shapes", "--out", demo.data_root)
    semi = demo.data_root / "annotations" / "semi"
    split = semi / f"instances_train.{demo.fold}@{demo.percent:g}.json"
    if not split.exists():
        ann_file = demo.data_root / "annotations" / "instances_train.json"
        numbers = ["--percent", demo.percent, "--fold", demo.fold]
        call_tool("make_splits", "--ann", ann_file, "--out", semi, *numbers)


def call_tool(name: str, *words: object) -> None:
    """Run another tool in view of the user.

    Raises:
        UserError: it failed.
    """
    command = [sys.executable, str(tools_folder() / f"{name}.py"), *map(str, words)]
    if subprocess.run(command, check=False).returncode:
        raise UserError(f"tools/{name}.py failed; the reason is above.")


def demo_slots(slots: int | None) -> list[Slot]:
    """The GPUs; without any, two places on the CPU where it has two cores."""
    gpus = gpu_numbers(None)
    if slots is None and not gpus:
        slots = min(2, os.cpu_count() or 1)
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    return make_slots(gpus, 1, slots)


def begin(plan: Plan, out: Path, listener: NotingListener) -> None:
    """Say where things are, and what is done already."""
    states = [*stage_states(plan, out, RETRIES).values()]
    done = states.count("finished")
    if done:
        listener.event(
            f"{done} of {len(states)} trainings are finished already and stay as they "
            "are; --fresh trains them again"
        )
    for folder in outdated_folders(plan, out):
        listener.event(f"changed since, not counted: {folder}")
    for stage in plan.stages.values():
        folder = StageFolder(stage, out)
        folder.forgive()
        listener.note(f"log of {stage.name}: {folder.log}")


def output_folder(arguments: Namespace) -> Path:
    """Where results go: a folder for each data set, so that none replaces another's."""
    if arguments.out is not None:
        return arguments.out.resolve()
    suffix = f"-{arguments.data.resolve().name}" if arguments.data else ""
    return Path("work_dirs", f"demo{suffix}").resolve()


def run_demo(arguments: Namespace, say: Callable[[str], None]) -> int:
    """Train what is missing, show the table, write the files.

    Args:
        arguments: options of ``tools/demo.py``.
        say: takes lines for the user.

    Returns:
        The exit code.

    Raises:
        FileNotFoundError: the folder of the user lacks something.
        UserError: a value does not fit, or the data could not be prepared.
    """
    start = time.monotonic()
    # Configs are read by the dozen: what they take from options is no news.
    MMLogger.get_instance("sweep", log_level="WARNING")
    out = output_folder(arguments)
    demo = make_demo(arguments)
    slots = demo_slots(arguments.slots)
    prepare_data(demo)
    plan = plan_sweep(demo.sweep, check_files=True)
    if arguments.fresh:
        for kept in set_aside(plan, out):
            say(f"set aside: {kept}")
    out.mkdir(parents=True, exist_ok=True)
    log = out / "log.txt"
    with log.open("a", encoding="utf-8") as file:
        file.write(f"{time.strftime('%Y-%m-%d')} {plan.sweep.title}\n")
    commander = train_commander(plan, out, tools_folder())
    with progress(Console(), SUMMARY_S) as shown:
        listener = NotingListener(shown, log, early_table(plan, out, FIRST_ROWS))
        begin(plan, out, listener)
        runner = LocalRunner(plan, out, slots, commander, listener, RETRIES)
        states = run_until_done(runner)
    minutes = (time.monotonic() - start) / 60
    closing = [write_comparison(plan, out, minutes, drawn=FIRST_ROWS[1])]
    is_finished = set(states.values()) <= {"finished"}
    if not is_finished:
        closing += status_lines(plan, out, RETRIES)
    closing.append(f"{minutes:.1f} minutes. Table, curves, report and logs: {out}")
    with log.open("a", encoding="utf-8") as file:
        file.write("\n".join(closing) + "\n")
    say("\n".join(closing))
    return 0 if is_finished else 1
