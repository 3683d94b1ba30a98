"""Train a sweep and show its table: python tools/sweep.py SWEEP ACTION [options].

    run      train what is not finished; the same command again goes on
    status   what is finished, running, waiting, failed
    table    the results so far, as terminal, markdown, latex or csv
    report   one HTML page with tables and charts
    rerun    set the named runs aside and train them from the beginning

SWEEP is a file, or its name in configs/_sweeps.
"""

from __future__ import annotations

import argparse
import shlex
import sys
from pathlib import Path

from mmengine.logging import MMLogger
from rich.console import Console

from ssod_mm.cli.arguments import ratio_number
from ssod_mm.cli.errors import one_line_errors
from ssod_mm.errors import UserError
from ssod_mm.reporting import sweep_tables
from ssod_mm.reporting.records import write_atomically
from ssod_mm.reporting.tables import terminal_table
from ssod_mm.sweep.execute import (
    progress,
    run_until_done,
    status_lines,
    train_commander,
)
from ssod_mm.sweep.local import LocalRunner
from ssod_mm.sweep.plan import Plan, plan_sweep
from ssod_mm.sweep.report import sweep_report
from ssod_mm.sweep.results import collect, result_table
from ssod_mm.sweep.slots import gpu_numbers, make_slots
from ssod_mm.sweep.slurm import SlurmSettings, submit
from ssod_mm.sweep.spec import load_sweep
from ssod_mm.sweep.state import StageFolder, other_settings, outdated_folders

TOOLS = Path(__file__).resolve().parent
ACTIONS = ("run", "status", "table", "report", "rerun")
FORMATS = ("terminal", "markdown", "latex", "csv")


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("sweep", help="a sweep file, or its name in configs/_sweeps")
    parser.add_argument("action", choices=ACTIONS)
    parser.add_argument("runs", nargs="*", help="names of runs, for rerun")
    parser.add_argument(
        "--out", type=Path, help="folder; default work_dirs/sweeps/NAME"
    )
    chosen = parser.add_argument_group("in place of what the file says")
    chosen.add_argument("--rows", nargs="+", help="keys of some of its rows")
    chosen.add_argument(
        "--ratios", nargs="+", type=ratio_number, help="labelled images in percent"
    )
    chosen.add_argument("--folds", nargs="+", type=int, help="label splits, from 1")
    chosen.add_argument("--seeds", nargs="+", type=int)
    parser.add_argument(
        "--gpus", help="numbers of the GPUs, such as 0,1,2; default: all there are"
    )
    parser.add_argument(
        "--gpus-per-run", type=int, default=1, help="processes of a training"
    )
    parser.add_argument(
        "--runs-per-gpu",
        type=int,
        default=1,
        help="trainings that share a GPU, for small detectors that leave it waiting",
    )
    parser.add_argument(
        "--slots", type=int, help="trainings at a time on the CPU, without GPUs"
    )
    parser.add_argument(
        "--retries", type=int, default=2, help="starts after one that got nowhere"
    )
    parser.add_argument(
        "--retry-failed", action="store_true", help="give failed runs another chance"
    )
    parser.add_argument(
        "--check", action="store_true", help="only check the files and show commands"
    )
    parser.add_argument(
        "--slurm", action="store_true", help="submit job arrays instead of running here"
    )
    parser.add_argument("--partition", help="of Slurm")
    parser.add_argument("--cpus", type=int, default=8, help="CPUs of a Slurm job")
    parser.add_argument("--memory-gb", type=float, help="memory of a Slurm job")
    parser.add_argument(
        "--hours", type=float, default=24.0, help="of a Slurm job before it is requeued"
    )
    parser.add_argument("--parallel", type=int, default=16, help="Slurm jobs at a time")
    parser.add_argument(
        "--sbatch",
        nargs="+",
        default=[],
        metavar="KEY=VALUE",
        help="further options of sbatch, such as account=NAME",
    )
    parser.add_argument("--format", choices=FORMATS, default="terminal")
    parser.add_argument("--save", type=Path, help="file for the table or the report")
    return parser.parse_args()


def run(plan: Plan, out: Path, arguments: argparse.Namespace) -> int:
    """Train; the exit code."""
    per_run = arguments.gpus_per_run
    commander = train_commander(plan, out, TOOLS)
    if arguments.check:
        for stage in plan.stages.values():
            print(shlex.join(commander(stage, False, per_run)))
        return 0
    say_outdated(plan, out)
    if arguments.retry_failed:
        for stage in plan.stages.values():
            StageFolder(stage, out).forgive()
    if arguments.slurm and arguments.runs_per_gpu > 1:
        raise UserError("--runs-per-gpu is not for --slurm: its jobs do not share GPUs")
    if arguments.slurm:
        settings = slurm_settings(arguments)
        jobs = submit(plan, out, commander, settings, arguments.retries, print)
        print(f"{len(jobs)} jobs submitted; status shows how they get on")
        return 0
    gpus = gpu_numbers(arguments.gpus)
    slots = make_slots(gpus, per_run, arguments.slots, arguments.runs_per_gpu)
    try:
        with progress(Console()) as listener:
            states = run_until_done(
                LocalRunner(plan, out, slots, commander, listener, arguments.retries)
            )
    except KeyboardInterrupt:
        print("stopped; the same command goes on from the last checkpoints")
        return 130
    print("\n".join(status_lines(plan, out, arguments.retries)))
    return 0 if set(states.values()) <= {"finished"} else 1


def slurm_settings(arguments: argparse.Namespace) -> SlurmSettings:
    """What Slurm's jobs ask for.

    Raises:
        ValueError: ``--sbatch`` without KEY=VALUE.
    """
    wrong = [one for one in arguments.sbatch if "=" not in one]
    if wrong:
        raise UserError(f"--sbatch {wrong[0]} must be KEY=VALUE")
    return SlurmSettings(
        partition=arguments.partition,
        gpus=0 if arguments.slots else arguments.gpus_per_run,
        cpus=arguments.cpus,
        memory_gb=arguments.memory_gb,
        hours=arguments.hours,
        parallel=arguments.parallel,
        options=dict(one.split("=", 1) for one in arguments.sbatch),
    )


def say_outdated(plan: Plan, out: Path) -> None:
    """Name the folders whose config has changed since."""
    for folder in outdated_folders(plan, out):
        why = other_settings(folder, plan)
        print(f"changed since, not counted: {folder}{why and f' ({why})'}")
    for stage in plan.stages.values():
        for path in StageFolder(stage, out).damaged_files():
            print(f"cannot be read: {path}; the next run goes on without it")


def rerun(plan: Plan, out: Path, names: list[str]) -> None:
    """Set the results of some runs aside.

    Raises:
        ValueError: no such run.
    """
    if not names:
        raise UserError("rerun needs the names of runs, as status shows them")
    by_name = {stage.name: stage for stage in plan.stages.values()}
    by_name |= {run.name: plan.stages[run.stages[-1]] for run in plan.runs}
    for name in names:
        if name not in by_name:
            raise UserError(f"no run {name}; there are {', '.join(by_name)}")
        kept = StageFolder(by_name[name], out).set_aside()
        print(f"{name}: " + (f"old results are in {kept}" if kept else "nothing yet"))


def show_table(plan: Plan, out: Path, kind: str, save: Path | None) -> None:
    """Print the table, or write it to a file."""
    table = result_table(plan, collect(plan, out))
    write = {
        "terminal": sweep_tables.terminal,
        "markdown": sweep_tables.markdown,
        "latex": sweep_tables.latex,
        "csv": sweep_tables.as_csv,
    }
    text = write[kind](table)
    differences = sweep_tables.difference_rows(table)
    if kind == "terminal" and differences:
        text += "\n" + terminal_table(differences, "paired over folds, 95 %")
    if save is None:
        print(text.rstrip("\n"))
    else:
        write_atomically(save, text)
        print(f"table: {save}")


def write_report(plan: Plan, out: Path, save: Path | None) -> None:
    """Write the page."""
    path = save or out / "report.html"
    write_atomically(path, sweep_report(plan, collect(plan, out), out))
    print(f"report: {path}")


def main() -> None:
    """Do what the action says."""
    arguments = parse_arguments()
    # Configs are read by the dozen: what they take from options is no news.
    MMLogger.get_instance("sweep", log_level="WARNING")
    with one_line_errors():
        sweep = load_sweep(arguments.sweep).select(
            arguments.rows, arguments.ratios, arguments.folds, arguments.seeds
        )
        out = (arguments.out or Path("work_dirs", "sweeps", sweep.name)).resolve()
        training = arguments.action in ("run", "rerun")
        plan = plan_sweep(sweep, check_files=training)
        if arguments.action == "status":
            say_outdated(plan, out)
            print("\n".join(status_lines(plan, out, arguments.retries)))
            return
        if arguments.action == "table":
            if arguments.format == "terminal" and arguments.save is None:
                say_outdated(plan, out)
            show_table(plan, out, arguments.format, arguments.save)
        if arguments.action == "report":
            say_outdated(plan, out)
            write_report(plan, out, arguments.save)
        if arguments.action == "rerun":
            rerun(plan, out, arguments.runs)
        if training:
            sys.exit(run(plan, out, arguments))


if __name__ == "__main__":
    main()
