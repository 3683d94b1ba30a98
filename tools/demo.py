"""Train, compare and draw: supervised against mean teacher with the same labels.

    make demo                        the embedded shapes
    make demo DATA=path/to/folder    your own data

The shapes use 5 % of the labels, your data 10 % (--percent). A first phase trains a
detector on the labelled images; from its weights a second phase trains on, once with
labels alone (supervised) and once as mean teacher. So both end after the same number of
iterations, with the same labels and from the same start.

DATA is a folder in the layout

    annotations/instances_train.json, annotations/instances_val.json    COCO format
    train/, val/                                                        images

Writes OUT/results.md, OUT/curves.png, OUT/pseudo_labels.png, OUT/log.txt and the two
work folders. PRETRAINED names ImageNet weights of MobileNetV2 for your own data.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from ssod_mm.cli.errors import one_line_errors
from ssod_mm.reporting.curves import Curve, Panel, plot_panels
from ssod_mm.reporting.scalars import RunScalars, read_scalars
from ssod_mm.reporting.tables import (
    METRICS,
    ResultRow,
    markdown_table,
    result_rows,
    terminal_table,
)

ROOT = Path(__file__).resolve().parents[1]
SHAPES_ROOT = ROOT / "data" / "shapes"
_PROGRESS = re.compile(r"Iter\((train|val)\) *\[ *(\d+)/(\d+)\]")


@dataclass(frozen=True)
class Plan:
    """What a demo trains.

    Attributes:
        title: heading of the table.
        supervised: config of the baseline, relative to ``configs/``.
        mean_teacher: config of the mean teacher.
        environment: variables that the configs read.
        percent: labelled images in percent.
        first: iterations of the first phase, on labelled images.
        second: iterations of the second, of each of the two detectors.
    """

    title: str
    supervised: str
    mean_teacher: str
    environment: dict[str, str]
    percent: int
    first: int
    second: int


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, help="folder with your own data")
    parser.add_argument("--percent", type=int, help="labelled images in percent")
    parser.add_argument("--fold", type=int, default=1, help="label split, from 1")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=ROOT / "work_dirs" / "demo")
    return parser.parse_args()


def shapes_plan(percent: int | None) -> Plan:
    """Plan for the embedded data set."""
    return Plan(
        title="shapes",
        supervised="supervised/supervised_frcnn_r18_short_shapes_p05.py",
        mean_teacher="mean_teacher/mean_teacher_frcnn_r18_short_shapes_p05.py",
        environment={"DATA_ROOT": str(SHAPES_ROOT)},
        percent=percent or 5,
        first=800,
        second=600,
    )


def folder_plan(root: Path, percent: int | None) -> Plan:
    """Plan for a folder of the user.

    Raises:
        FileNotFoundError: if the folder lacks something; says what.
    """
    root = root.resolve()
    for part in ("train", "val"):
        ann_file = root / "annotations" / f"instances_{part}.json"
        for path, kind in ((ann_file, "annotation file"), (root / part, "folder")):
            if not path.exists():
                raise FileNotFoundError(
                    f"There is no {kind} {path}. DATA must hold annotations/"
                    "instances_train.json and instances_val.json (COCO format) and "
                    "the image folders train/ and val/."
                )
    train = json.loads((root / "annotations" / "instances_train.json").read_text())
    return Plan(
        title=root.name,
        supervised="supervised/supervised_frcnn_mnv2_short_folder_p10.py",
        mean_teacher="mean_teacher/mean_teacher_frcnn_mnv2_short_folder_p10.py",
        environment={
            "DATA_ROOT": str(root),
            "NUM_CLASSES": str(len(train["categories"])),
        },
        percent=percent or 10,
        first=1000,
        second=600,
    )


def call(command: list[str], environment: dict[str, str], log: Path) -> None:
    """Run a tool, its output to the log.

    Raises:
        RuntimeError: if it fails; shows the last lines of the log.
    """
    follow(command, environment, log, None)


def follow(
    command: list[str], environment: dict[str, str], log: Path, label: str | None
) -> None:
    """Run a tool, its output to the log and, with a label, its progress to the screen.

    Args:
        command: program and arguments.
        environment: additional variables.
        log: file to append to.
        label: name of the progress bar, or None for no bar.

    Raises:
        RuntimeError: if it fails; shows the last lines of the log.
    """
    bar = Progress(
        TextColumn("{task.description:<28}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
        disable=label is None,
    )
    process = subprocess.Popen(
        command,
        cwd=ROOT,
        env={**os.environ, **environment, "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    )
    plain = not bar.console.is_terminal
    with bar, log.open("a") as sink:
        task = bar.add_task(label or "", total=None, note="starting")
        for line in process.stdout:
            sink.write(line)
            sink.flush()
            found = _PROGRESS.search(line)
            if label is None or not found:
                continue
            if plain:  # no terminal: whole lines, so that a log file shows progress
                print(f"{label}: {shortened(line)}", flush=True)
            if found[1] == "train":
                bar.update(task, completed=int(found[2]), total=int(found[3]))
            bar.update(task, note=note_of(line))
    if process.wait():
        tail = "\n".join(log.read_text().splitlines()[-15:])
        raise RuntimeError(
            f"{' '.join(command)} failed; see {log}. It ends with:\n{tail}"
        )


def shortened(line: str) -> str:
    """A log line without its date and logger."""
    return line.split(" - ")[-1].strip()[:150]


def note_of(line: str) -> str:
    """What a log line says at a glance: loss in training, AP in validation."""
    for name, key in (("AP", "bbox_mAP: "), ("loss", " loss: ")):
        if key in line:
            return f"{name} {line.split(key)[1].split()[0]}"
    return ""


def prepare_data(plan: Plan, arguments: argparse.Namespace, log: Path) -> None:
    """Make the shapes and the label split where they are missing."""
    tool = [sys.executable, str(ROOT / "tools")]
    root = Path(plan.environment["DATA_ROOT"])
    if arguments.data is None:
        draw_shapes = [tool[0], f"{tool[1]}/make_shapes.py", "--out", str(root)]
        if subprocess.run(draw_shapes, cwd=ROOT, check=False).returncode:
            raise RuntimeError("Drawing the shapes failed; the reason is above.")
    semi = root / "annotations" / "semi"
    split = semi / f"instances_train.{arguments.fold}@{plan.percent}.json"
    if not split.exists():
        print(f"Label split: {split}", flush=True)
        ann_file = root / "annotations" / "instances_train.json"
        options = ["--ann", str(ann_file), "--out", str(semi)]
        options += ["--percent", str(plan.percent), "--folds", str(arguments.fold)]
        call([tool[0], f"{tool[1]}/make_splits.py", *options], {}, log)


def train(
    name: str,
    config: str,
    plan: Plan,
    options: dict[str, object],
    arguments: argparse.Namespace,
    log: Path,
) -> RunScalars:
    """Train a config and read what it logged.

    Args:
        name: of the run, its folder and its progress bar.
        config: relative to ``configs/``.
        plan: data and label ratio.
        options: overrides, as of ``--cfg-options``.
        arguments: the command line.
        log: file for the output.
    """
    work_dir = arguments.out / name
    shutil.rmtree(work_dir, ignore_errors=True)
    command = [sys.executable, str(ROOT / "tools" / "train.py"), config]
    command += ["--fold", str(arguments.fold), "--percent", str(plan.percent)]
    command += ["--seed", str(arguments.seed), "--work-dir", str(work_dir)]
    command += ["--cfg-options", *(f"{key}={value}" for key, value in options.items())]
    follow(command, plan.environment, log, name.replace("_", " "))
    return read_scalars(work_dir)


def train_all(
    plan: Plan, arguments: argparse.Namespace, log: Path
) -> tuple[RunScalars, RunScalars]:
    """Train the first phase, then from its weights both detectors.

    Returns:
        What the supervised detector logged, first phase included, and the mean
        teacher; both count the iterations from the start of the first phase.
    """
    options = {"max_iters": plan.first}
    first = train("first_phase", plan.supervised, plan, options, arguments, log)
    start = arguments.out / "first_phase" / f"iter_{plan.first}.pth"
    options = {"max_iters": plan.second, "continue_from": start}
    both = [
        train(name, getattr(plan, name), plan, options, arguments, log)
        for name in ("supervised", "mean_teacher")
    ]
    supervised, teacher = (shifted(run, plan.first) for run in both)
    for key, series in first.series.items():
        supervised.series[key] = series + supervised.series.get(key, [])
    return supervised, teacher


def shifted(run: RunScalars, iterations: int) -> RunScalars:
    """A run's scalars as those of iterations that begin later."""
    return RunScalars(
        {
            key: [(step + iterations, value) for step, value in series]
            for key, series in run.series.items()
        }
    )


def metrics(run: RunScalars, prefix: str) -> dict[str, float | None]:
    """Final AP values in percent; the prefix is "", "teacher/" or "student/"."""
    values = {}
    for name, key in METRICS.items():
        last = run.last(f"{prefix}coco/{key}")
        values[name] = None if last is None else 100 * last
    return values


def percent_curve(label: str, run: RunScalars, key: str) -> Curve:
    """A logged share as percent."""
    return Curve(label, [(step, 100 * value) for step, value in run.get(key)])


def draw(supervised: RunScalars, teacher: RunScalars, path: Path) -> None:
    """AP, pseudo-label quality and losses over the iterations."""
    ap = "coco/bbox_mAP"
    quality = ("precision", "recall", "iou")
    plot_panels(
        [
            Panel(
                "Detection",
                "AP (%)",
                [
                    percent_curve("supervised", supervised, ap),
                    percent_curve("mean teacher: student", teacher, f"student/{ap}"),
                    percent_curve("mean teacher: teacher", teacher, f"teacher/{ap}"),
                ],
            ),
            Panel(
                "Pseudo labels against the withheld truth",
                "%",
                [percent_curve(q, teacher, f"pseudo_{q}") for q in quality],
            ),
            Panel(
                "Training loss",
                "loss",
                [
                    Curve("supervised", supervised.get("loss")),
                    Curve("mean teacher", teacher.get("loss")),
                ],
            ),
        ],
        path,
    )


def keep_last_drawing(work_dir: Path, path: Path) -> bool:
    """Copy the latest picture of pseudo labels; false where there is none."""
    pictures = sorted((work_dir / "pseudo_labels").glob("*.png"))
    if pictures:
        shutil.copy(pictures[-1], path)
    return bool(pictures)


def main() -> None:
    """Run the demo."""
    arguments = parse_arguments()
    arguments.out = arguments.out.resolve()
    with one_line_errors():
        run_demo(arguments)


def run_demo(arguments: argparse.Namespace) -> None:
    """Train both detectors, then write table, curves and drawings."""
    start = time.monotonic()
    if arguments.data:
        plan = folder_plan(arguments.data, arguments.percent)
    else:
        plan = shapes_plan(arguments.percent)
    arguments.out.mkdir(parents=True, exist_ok=True)
    log = arguments.out / "log.txt"
    log.write_text("")
    prepare_data(plan, arguments, log)
    supervised, teacher = train_all(plan, arguments, log)

    baseline = ResultRow("supervised", metrics(supervised, ""))
    rows = [
        baseline,
        ResultRow("mean teacher: student", metrics(teacher, "student/")),
        ResultRow("mean teacher: teacher", metrics(teacher, "teacher/")),
    ]
    cells = result_rows(rows, baseline)
    title = f"{plan.title}, {plan.percent} % labels, fold {arguments.fold}"
    draw(supervised, teacher, arguments.out / "curves.png")
    drawn = keep_last_drawing(
        arguments.out / "mean_teacher", arguments.out / "pseudo_labels.png"
    )
    minutes = (time.monotonic() - start) / 60
    picture = "\n![pseudo labels](pseudo_labels.png)\n" if drawn else ""
    (arguments.out / "results.md").write_text(
        f"# {title}\n\n{markdown_table(cells)}\n\nseed {arguments.seed}, "
        f"{minutes:.1f} minutes\n\n![curves](curves.png)\n{picture}"
    )
    print(terminal_table(cells, title))
    print(f"{minutes:.1f} minutes. Table, curves, drawings and log: {arguments.out}")


if __name__ == "__main__":
    main()
