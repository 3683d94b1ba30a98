"""What a sweep's folder on disk says about its trainings.

Every training has a folder with ``stage.json`` (what it is), ``record.json`` (what it
measured), ``log.txt``, ``attempts.json`` and ``lock``. The lock is a file lock that the
training process holds itself: it ends with the process, however that ends, and it
outlives a sweeper that was killed.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import time
from dataclasses import asdict
from pathlib import Path

from ssod_mm.cli.run_folders import numbered_checkpoints
from ssod_mm.errors import UserError
from ssod_mm.reporting.records import (
    RECORD_FILE,
    RunRecord,
    read_record,
    write_atomically,
)
from ssod_mm.sweep.plan import Plan, Stage

STATES = ("finished", "running", "waiting", "interrupted", "failed", "blocked")
REPLACED = "replaced"
_PROGRESS = re.compile(rb"Iter\(train\) *\[ *(\d+)/(\d+)\]")
_SAVED = re.compile(r"iter_(\d+)\.pth$")
_TAIL_BYTES = 16384


class StageFolder:
    """The output folder of one training.

    Args:
        stage: the training.
        out: output folder of the sweep.
    """

    def __init__(self, stage: Stage, out: Path) -> None:
        self.stage = stage
        self.path = out / stage.folder
        self.log = self.path / "log.txt"
        self.checkpoint = self.path / stage.checkpoint
        self._attempts = self.path / "attempts.json"

    def prepare(self) -> None:
        """Create the folder and note what belongs into it.

        Raises:
            ValueError: it holds another training.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        note = self.path / "stage.json"
        content = _read_json(note)
        if content is not None:
            if content.get("id") != self.stage.id:
                raise UserError(
                    f"{self.path} holds the training {content.get('id')}: remove it"
                )
            return
        write_atomically(note, json.dumps(asdict(self.stage), indent=1) + "\n")

    def record(self) -> RunRecord | None:
        """What was measured so far, or None."""
        try:
            return read_record(self.path / RECORD_FILE)
        except (OSError, ValueError):
            return None

    def damaged_files(self) -> list[Path]:
        """Files of the folder that cannot be read; each affects this training alone."""
        notes = [self.path / "stage.json", self._attempts]
        damaged = [p for p in notes if p.exists() and _read_json(p) is None]
        record = self.path / RECORD_FILE
        if record.exists() and self.record() is None:
            damaged.append(record)
        return damaged

    def is_finished(self, with_checkpoint: bool = False) -> bool:
        """Whether the training ended.

        Args:
            with_checkpoint: whether its weights must still be there.
        """
        if with_checkpoint and not self.checkpoint.is_file():
            return False
        record = self.record()
        return record is not None and record.is_finished

    def validated(self) -> int:
        """Iterations at the last validation that is on record; 0 for none."""
        record = self.record()
        series = record.metrics.values() if record else ()
        return max((points[-1][0] for points in series if points), default=0)

    def try_lock(self) -> int | None:
        """Take the lock.

        Returns:
            A file descriptor that holds it, in this process and in those that inherit
            it; None where another process has it.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(self.path / "lock", os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(descriptor)
            return None
        return descriptor

    def is_locked(self) -> bool:
        """Whether a process trains in the folder now."""
        try:
            descriptor = os.open(self.path / "lock", os.O_RDWR)
        except FileNotFoundError:
            return False
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError:
            return True
        finally:
            os.close(descriptor)
        return False

    @property
    def is_begun(self) -> bool:
        """Whether a checkpoint exists to go on from."""
        return bool(numbered_checkpoints(self.path))

    def marker(self) -> str:
        """Something that changes whenever the training gets further."""
        paths = numbered_checkpoints(self.path)
        return paths[0].name if paths else ""

    def starts_in_vain(self) -> int:
        """Number of starts since the last one that left a new checkpoint."""
        attempts = _read_json(self._attempts) or {}
        starts = attempts.get("starts")
        is_current = attempts.get("marker") == self.marker()
        return starts if is_current and isinstance(starts, int) else 0

    def note_start(self) -> None:
        """Count a start."""
        self._write_attempts(self.starts_in_vain() + 1)

    def note_stop(self) -> None:
        """Take a start back that the user ended."""
        self._write_attempts(max(0, self.starts_in_vain() - 1))

    def give_up(self, retries: int) -> None:
        """Leave no further start, after a mistake that repeats itself."""
        self._write_attempts(retries + 1)

    def forgive(self) -> None:
        """Forget all starts in vain."""
        self._attempts.unlink(missing_ok=True)

    def _write_attempts(self, starts: int) -> None:
        content = {"starts": starts, "marker": self.marker()}
        write_atomically(self._attempts, json.dumps(content) + "\n")

    def log_tail(self, num_lines: int) -> list[str]:
        """The last lines of the log that say something."""
        text = self._log_end().decode(errors="replace")
        return [line for line in text.splitlines() if line.strip()][-num_lines:]

    def iterations(self) -> int:
        """Iterations done, as far as the log tells, or else the last checkpoint."""
        progress = _PROGRESS.findall(self._log_end())
        if progress:
            return int(progress[-1][0])
        saved = _SAVED.search(self.marker())
        return int(saved[1]) if saved else 0

    def _log_end(self) -> bytes:
        try:
            with self.log.open("rb") as file:
                file.seek(0, os.SEEK_END)
                file.seek(max(0, file.tell() - _TAIL_BYTES))
                return file.read()
        except FileNotFoundError:
            return b""

    def set_aside(self) -> Path | None:
        """Move the folder away, for a start from the beginning.

        Returns:
            Where it lies now; None where there was none.

        Raises:
            UserError: a process trains in it.
        """
        if not self.path.is_dir():
            return None
        if self.is_locked():
            raise UserError(f"{self.stage.name} is running: stop it before a rerun")
        stamp = time.strftime("%Y%m%d-%H%M%S")
        target = self.path.parent / REPLACED / f"{self.path.name}-{stamp}"
        target.parent.mkdir(exist_ok=True)
        number = 1
        while target.exists():
            number += 1
            target = target.with_name(f"{self.path.name}-{stamp}-{number}")
        return self.path.rename(target)


def stage_states(plan: Plan, out: Path, retries: int) -> dict[str, str]:
    """The state of every training, one of ``STATES``, by id.

    Args:
        plan: the sweep's trainings.
        out: output folder of the sweep.
        retries: further starts without a new checkpoint before a training counts as
            failed.
    """
    states: dict[str, str] = {}
    for stage in plan.stages.values():
        folder = StageFolder(stage, out)
        if folder.is_locked():
            state = "running"
        elif folder.is_finished():
            state = "finished"
        elif folder.starts_in_vain() > retries:
            state = "failed"
        elif any(
            states[teacher_id] in ("failed", "blocked") for teacher_id in stage.teachers
        ):
            state = "blocked"
        else:
            state = "interrupted" if folder.log.is_file() else "waiting"
        states[stage.id] = state
    return states


def outdated_folders(plan: Plan, out: Path) -> list[Path]:
    """Folders of trainings whose config has changed since; they are never counted."""
    names = {stage.name for stage in plan.stages.values()}
    folders = []
    for note in sorted(out.glob("*/stage.json")):
        content = _read_json(note) or {}
        if content.get("id") not in plan.stages and content.get("name") in names:
            folders.append(note.parent)
    return folders


def other_settings(folder: Path, plan: Plan) -> str:
    """What is known to differ between a folder's training and that of a plan.

    Args:
        folder: one of ``outdated_folders``.
        plan: the sweep's trainings.

    Returns:
        Words such as "PRETRAINED=a.pth then, none now"; empty if only the config or the
        program can have changed.
    """
    content = _read_json(folder / "stage.json") or {}
    now = next(s for s in plan.stages.values() if s.name == content.get("name"))
    differences = []
    for part in ("environment", "options"):
        old, new = content.get(part) or {}, getattr(now, part)
        for key in sorted({*old, *new}):
            if str(old.get(key)) != str(new.get(key)):
                before, after = old.get(key, "none"), new.get(key, "none")
                differences.append(f"{key}={before} then, {after} now")
    return ", ".join(differences)


def _read_json(path: Path) -> dict | None:
    """The object in a json file; None where there is none that can be read."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return content if isinstance(content, dict) else None
