"""A sweep of fake trainings; as a program: python fake_sweep.py OUT [SLOTS]."""

from __future__ import annotations

import hashlib
import signal
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from ssod_mm.sweep.display import PlainListener  # noqa: E402
from ssod_mm.sweep.local import LocalRunner, Slot  # noqa: E402
from ssod_mm.sweep.plan import Plan, Run, Stage  # noqa: E402
from ssod_mm.sweep.spec import Row, Sweep  # noqa: E402

FAKE = Path(__file__).with_name("fake_train.py")


def make_stage(name, seed=0, teachers=(), max_iters=10, **options):
    identity = hashlib.sha256(
        repr((name, seed, teachers, options)).encode()
    ).hexdigest()
    return Stage(
        id=identity,
        name=name,
        config=f"{name}.py",
        options=options,
        fold=1,
        percent=5,
        seed=seed,
        amp=None,
        max_iters=max_iters,
        teachers=tuple(teachers),
    )


def make_plan(stages, runs=()):
    row = Row("m", "M", "m.py")
    sweep = Sweep(
        "fake", "Fake", (row,), (5,), (1,), (0,), "m", "coco/bbox_mAP", None, ROOT
    )
    return Plan(sweep, {stage.id: stage for stage in stages}, tuple(runs))


def two_phase_plan(num_seeds=3, max_iters=10):
    """A shared first phase and two second ones for each seed."""
    stages, runs = [], []
    for seed in range(num_seeds):
        first = make_stage(f"first{seed}", seed, max_iters=max_iters)
        stages.append(first)
        for name in ("a", "b"):
            second = make_stage(f"{name}{seed}", seed, [first.id], max_iters)
            stages.append(second)
            row = Row(name, name.upper(), "m.py")
            runs.append(Run(row, 5, 1, seed, (first.id, second.id)))
    return make_plan(stages, runs)


def commander(plan, out):
    def command(stage, resume, nproc):
        start = ""
        if stage.teachers:
            teacher = plan.stages[stage.teachers[0]]
            start = str(out / teacher.folder / teacher.checkpoint)
        words = [sys.executable, "-S", str(FAKE), str(out / stage.folder)]
        words += [str(stage.max_iters), str(stage.seed), start, str(resume)]
        return [*words, *stage.options.get("how", [])]

    return command


def make_runner(plan, out, num_slots=2, retries=2, write=lambda line: None):
    return LocalRunner(
        plan,
        out,
        [Slot(f"slot {n}") for n in range(num_slots)],
        commander(plan, out),
        PlainListener(write, every_s=0.0),
        retries,
        poll_s=0.02,
    )


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    runner = make_runner(two_phase_plan(max_iters=40), folder, retries=50)
    signal.signal(signal.SIGTERM, runner.request_stop)
    runner.run()
