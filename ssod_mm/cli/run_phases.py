"""Train the phases of a plan one after the other, each as a process of its own."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterable

from ssod_mm.cli.phases import Phase
from ssod_mm.cli.tool_files import tools_folder
from ssod_mm.errors import UserError


def train_phases(
    phases: Iterable[Phase],
    nproc: int,
    check: bool,
    say: Callable[[str], None],
    only_files: bool = False,
) -> int:
    """Train what has not ended; a phase that was interrupted goes on.

    Args:
        phases: teachers first.
        nproc: processes of each, as of ``tools/dist_train.sh``.
        check: whether each is only checked, see :func:`ssod_mm.apis.training.check`.
        say: takes a line for the user.
        only_files: whether a check looks at options, configs and files alone.

    Returns:
        The exit code of the phase that failed, or 0.

    Raises:
        UserError: a folder holds another training, or a phase left no checkpoint.
    """
    phases = list(phases)
    for phase in phases:
        phase.check_record()
    for number, phase in enumerate(phases):
        if phase.is_done:
            say(f"{phase.name}: done, {phase.checkpoint}")
            continue
        verb = "going on" if phase.is_begun else "training"
        verb = "checking the training" if check else verb
        say(f"{phase.name}: {verb} in {phase.work_dir}")
        if not check and phase.record:
            phase.write_record()
        follows = not all(earlier.is_done for earlier in phases[:number])
        command = command_of(phase, nproc, check, follows, only_files)
        code = subprocess.run(command, check=False).returncode
        if code:
            return code
        if not check and not phase.is_done:
            raise UserError(
                f"the {phase.name} left no {phase.checkpoint}: its checkpoint hook "
                "must save the last iteration"
            )
    return 0


def command_of(
    phase: Phase,
    nproc: int,
    check: bool,
    follows: bool = False,
    only_files: bool = False,
) -> list[str]:
    """The command that trains a phase, or goes on with it, or checks it.

    Args:
        phase: the training.
        nproc: its processes; a check is one.
        check: whether it is only checked.
        follows: whether a phase before it is still to be trained.
        only_files: whether a check looks at options, config and files alone.
    """
    config, *options = phase.arguments
    extra = ["--resume"] if phase.is_begun else []
    if check:
        extra.append("--check-files" if only_files else "--check")
        extra += ["--before-first-phase"] if follows else []
    tools = tools_folder()
    if nproc > 1 and not check:
        start = ["bash", str(tools / "dist_train.sh"), config, str(nproc)]
    else:
        start = [sys.executable, str(tools / "train.py"), config]
    return [*start, *extra, *options]
