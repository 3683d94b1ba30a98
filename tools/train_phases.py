"""Train teacher and student: python tools/train_phases.py CONFIG [options].

The first phase trains the config that CONFIG names in teacher_config on the labelled
images; the second trains CONFIG from its weights. Options are those of tools/train.py;
fold, percent, seed, precision and the options of the data go to both phases. A phase
that has ended is not repeated and one that was interrupted goes on: the same command
again is always right.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

from mmengine.config import DictAction

from ssod_mm.cli.arguments import add_check_argument, add_config_arguments
from ssod_mm.cli.errors import one_line_errors
from ssod_mm.cli.phases import Phase, plan_phases
from ssod_mm.errors import UserError

TOOLS = Path(__file__).resolve().parent


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_config_arguments(parser)
    parser.add_argument(
        "--amp",
        nargs="?",
        const=True,
        choices=["bf16", "fp16"],
        help="mixed precision of both phases, as in tools/train.py",
    )
    parser.add_argument("--auto-scale-lr", action=argparse.BooleanOptionalAction)
    parser.add_argument(
        "--teacher-options",
        nargs="+",
        action=DictAction,
        metavar="KEY=VALUE",
        help="overrides of the teacher's config, such as max_iters=100",
    )
    parser.add_argument("--teacher-work-dir", help="output folder of the teacher")
    parser.add_argument(
        "--nproc", type=int, default=1, help="processes, as of tools/dist_train.sh"
    )
    add_check_argument(parser)
    return parser.parse_args()


def command_of(phase: Phase, nproc: int, check: bool) -> list[str]:
    """The command that trains a phase, or goes on with it."""
    config, *options = phase.arguments
    options = options.copy()
    extra = ["--resume"] if phase.is_begun else []
    extra += ["--check"] if check else []
    if nproc > 1:
        start = ["bash", str(TOOLS / "dist_train.sh"), config, str(nproc)]
    else:
        start = [sys.executable, str(TOOLS / "train.py"), config]
    return [*start, *extra, *options]


def run(phase: Phase, nproc: int, check: bool) -> None:
    """Train a phase unless it has ended; ends this program where it fails."""
    if phase.is_done:
        print(f"{phase.name}: done, {phase.checkpoint}", flush=True)
        return
    verb = "going on" if phase.is_begun else "training"
    print(f"{phase.name}: {verb} in {phase.work_dir}", flush=True)
    if not check and phase.record:
        phase.write_record()
    code = subprocess.run(command_of(phase, nproc, check), check=False).returncode
    if code:
        sys.exit(code)
    if not check and not phase.is_done:
        raise UserError(
            f"the {phase.name} left no {phase.checkpoint}: its checkpoint hook must "
            "save the last iteration"
        )


def main() -> None:
    """Train both phases."""
    arguments = parse_arguments()
    with one_line_errors():
        teachers, student = plan_phases(arguments)
        for phase in (*teachers, student):
            phase.check_record()
        for phase in (*teachers, student):
            run(phase, arguments.nproc, arguments.check)


if __name__ == "__main__":
    main()
