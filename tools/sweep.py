"""Train a sweep and show its table.

    run      train what is not finished; the same command again goes on; with --rungs
             rows that fall behind are dropped (successive halving)
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
from typing import TYPE_CHECKING

from ssod_mm.cli.arguments import make_parser, ratio_number
from ssod_mm.cli.errors import one_line_errors
from ssod_mm.errors import UserError

if TYPE_CHECKING:
    from ssod_mm.sweep.plan import Plan
    from ssod_mm.sweep.slurm import SlurmSettings

ACTIONS = ("run", "status", "table", "report", "rerun")
FORMATS = ("terminal", "markdown", "latex", "csv")


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = make_parser(__doc__)
    parser.add_argument("sweep", help="a sweep file, or its name in configs/_sweeps")
    parser.add_argument("action", choices=ACTIONS)
    parser.add_argument("runs", nargs="*", help="names of runs, for rerun")
    parser.add_argument(
        "--out", type=Path, help="folder (default: work_dirs/sweeps/NAME)"
    )
    chosen = parser.add_argument_group("in place of what the file says, the default")
    chosen.add_argument("--rows", nargs="+", help="keys of some of its rows")
    chosen.add_argument(
        "--ratios", nargs="+", type=ratio_number, help="labelled images in percent"
    )
    chosen.add_argument("--folds", nargs="+", type=int, help="label splits, from 1")
    chosen.add_argument("--seeds", nargs="+", type=int, help="of every split")
    parser.add_argument(
        "--gpus", help="numbers of the GPUs, such as 0,1,2 (default: all there are)"
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
        "--slots",
        type=int,
        help="trainings at a time on the CPU (default: the GPUs, or 1 without any)",
    )
    parser.add_argument(
        "--rungs",
        nargs="+",
        type=float,
        default=[],
        metavar="SHARE",
        help="shares of the last phase after which only the best rows go on, such as "
        "0.25 0.5 (default: all rows are trained to the end)",
    )
    parser.add_argument(
        "--keep", type=float, default=0.5, help="share of the rows that goes on"
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
        "--format", choices=FORMATS, default="terminal", help="of the table"
    )
    parser.add_argument(
        "--save",
        type=Path,
        help="file for the table or the report (default: the table is printed, the "
        "report is OUT/report.html)",
    )
    add_slurm_arguments(parser)
    return parser.parse_args()


def add_slurm_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what a cluster wants to know."""
    slurm = parser.add_argument_group("Slurm")
    slurm.add_argument(
        "--slurm", action="store_true", help="submit job arrays instead of running here"
    )
    slurm.add_argument("--partition", help="(default: the cluster's)")
    slurm.add_argument("--cpus", type=int, default=8, help="CPUs of a job")
    slurm.add_argument(
        "--memory-gb", type=float, help="memory of a job (default: the cluster's)"
    )
    slurm.add_argument(
        "--hours", type=float, default=24.0, help="of a job before it is requeued"
    )
    slurm.add_argument("--parallel", type=int, default=16, help="jobs at a time")
    slurm.add_argument(
        "--sbatch",
        nargs="+",
        default=[],
        metavar="KEY=VALUE",
        help="further options of sbatch, such as account=NAME (default: none)",
    )


def run(plan: Plan, out: Path, arguments: argparse.Namespace) -> int:
    """Train; the exit code."""
    from ssod_mm.apis.sweeping import train_here
    from ssod_mm.cli.tool_files import tools_folder
    from ssod_mm.sweep.actions import outdated_lines
    from ssod_mm.sweep.execute import status_lines, train_commander
    from ssod_mm.sweep.slurm import submit
    from ssod_mm.sweep.state import StageFolder

    commander = train_commander(plan, out, tools_folder())
    if arguments.check:
        for stage in plan.stages.values():
            print(shlex.join(commander(stage, False, arguments.gpus_per_run)))
        return 0
    say(outdated_lines(plan, out))
    if arguments.retry_failed:
        for stage in plan.stages.values():
            StageFolder(stage, out).forgive()
    if arguments.slurm:
        if arguments.rungs:
            raise UserError("--rungs is not for --slurm: its jobs train to the end")
        settings = slurm_settings(arguments)
        jobs = submit(plan, out, commander, settings, arguments.retries, print)
        print(f"{len(jobs)} jobs submitted; status shows how they get on")
        return 0
    try:
        states = train_here(
            plan,
            out,
            arguments.gpus,
            arguments.gpus_per_run,
            arguments.runs_per_gpu,
            arguments.slots,
            arguments.retries,
            arguments.rungs,
            arguments.keep,
        )
    except KeyboardInterrupt:
        print("stopped; the same command goes on from the last checkpoints")
        return 130
    say(status_lines(plan, out, arguments.retries))
    return 0 if set(states.values()) <= {"finished"} else 1


def slurm_settings(arguments: argparse.Namespace) -> SlurmSettings:
    """What Slurm's jobs ask for.

    Raises:
        UserError: ``--sbatch`` without KEY=VALUE, or jobs that would share a GPU.
    """
    from ssod_mm.sweep.slurm import SlurmSettings

    if arguments.runs_per_gpu > 1:
        raise UserError("--runs-per-gpu is not for --slurm: its jobs do not share GPUs")
    wrong = [option for option in arguments.sbatch if "=" not in option]
    if wrong:
        raise UserError(f"--sbatch {wrong[0]} must be KEY=VALUE")
    return SlurmSettings(
        partition=arguments.partition,
        gpus=0 if arguments.slots else arguments.gpus_per_run,
        cpus=arguments.cpus,
        memory_gb=arguments.memory_gb,
        hours=arguments.hours,
        parallel=arguments.parallel,
        options=dict(option.split("=", 1) for option in arguments.sbatch),
    )


def say(lines: list[str]) -> None:
    """Print lines."""
    if lines:
        print("\n".join(lines))


def show(plan: Plan, out: Path, arguments: argparse.Namespace) -> None:
    """Print or write what there is: states, table or report."""
    from ssod_mm.reporting.records import write_atomically
    from ssod_mm.sweep.actions import outdated_lines, table_text, write_report
    from ssod_mm.sweep.execute import status_lines

    path = arguments.save
    is_for_reading = arguments.format == "terminal" and path is None
    if arguments.action != "table" or is_for_reading:
        say(outdated_lines(plan, out))
    if arguments.action == "status":
        say(status_lines(plan, out, arguments.retries))
    elif arguments.action == "report":
        print(f"report: {write_report(plan, out, path)}")
    elif path is None:
        print(table_text(plan, out, arguments.format))
    else:
        write_atomically(path, table_text(plan, out, arguments.format) + "\n")
        print(f"table: {path}")


def main() -> None:
    """Do what the action says."""
    arguments = parse_arguments()
    from ssod_mm.apis.sweeping import chosen_sweep
    from ssod_mm.sweep.actions import set_runs_aside
    from ssod_mm.sweep.plan import plan_sweep

    with one_line_errors():
        sweep, out = chosen_sweep(
            arguments.sweep,
            arguments.out,
            arguments.rows,
            arguments.ratios,
            arguments.folds,
            arguments.seeds,
        )
        is_training = arguments.action in ("run", "rerun")
        plan = plan_sweep(sweep, check_files=is_training)
        if not is_training:
            show(plan, out, arguments)
            return
        if arguments.action == "rerun":
            say(set_runs_aside(plan, out, arguments.runs))
        sys.exit(run(plan, out, arguments))


if __name__ == "__main__":
    main()
