"""Two seeded steps of every method, tiny and on the CPU, and what they gave before.

A change that is not meant to move results must leave these losses as they are. One that
is meant to renews them, and says "results affected: yes" in CHANGELOG.md::

    python -m tests.golden.steps
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import torch
from mmdet.utils import register_all_modules
from torch import nn

from ssod_mm.maths.ema import update_ema
from tests.helpers import tiny_detector_cfg
from tests.models.builders import NUM_CLASSES, batch, build_mean_teacher, total
from tests.models.dense_builders import build_dense, retina_cfg
from tests.models.gaussian_builders import build_lerprc, with_heads

FOLDER = Path(__file__).parent
NUM_STEPS = 2
MOSAIC = dict(pseudo_mosaic=1.0)
BALANCE = dict(use_loc=False, clip=(0.0, 0.9), floor=0.0)


def _certainty(**model: object) -> nn.Module:
    cfg = with_heads(tiny_detector_cfg(NUM_CLASSES), type="IntervalBBoxHead")
    model = {"type": "CertaintyTeacher", "detector": cfg, **model}
    return build_mean_teacher(model=model, ignore_thr=0.2, score_thr=0.24)


def _sparse_rpn() -> nn.Module:
    dense = dict(rpn=dict(mode="sparse"), rcnn=dict(tau=0.45, max_background=20))
    return build_dense(dense, class_balance=dict(use_loc=False))


def _all_background() -> nn.Module:
    rpn = dict(tau=0.5, ignore_thr=0.3, background="all", level="nearest")
    rcnn = dict(tau=0.45, ignore_thr=0.2, box_target="own", background_norm="all")
    return build_dense(dict(rpn=rpn, rcnn=rcnn))


def _dense(**arguments: object) -> nn.Module:
    return build_dense(dict(rpn=dict(tau=0.5), rcnn=dict(tau=0.45)), **arguments)


# Method -> its variants.
CASES: dict[str, dict[str, Callable[[], nn.Module]]] = {
    "mean_teacher": {
        "plain": build_mean_teacher,
        "one-stage": lambda: build_mean_teacher("fcos"),
        "class balance": lambda: build_mean_teacher(model=dict(class_balance=BALANCE)),
        "Gaussian head": lambda: build_lerprc(model=dict(type="MeanTeacher")),
        "mosaic": lambda: build_mean_teacher(model=dict(mixing=MOSAIC)),
    },
    "certainty": {
        "plain": lambda: _certainty(class_balance=dict(clip=(0.2, 0.9))),
        "unbalanced": _certainty,
    },
    "lerprc": {
        "plain": build_lerprc,
        "cascade": lambda: build_lerprc("cascade"),
        "LER, counted by all": lambda: build_lerprc(
            model=dict(prc=None, ler=dict(reg_norm="sampled"))
        ),
        "mosaic, class balance": lambda: build_lerprc(
            model=dict(mixing=MOSAIC, class_balance=BALANCE)
        ),
    },
    "dtg": {
        "plain": _dense,
        "one-stage": lambda: build_dense(dict(head=dict(tau=0.5)), cfg=retina_cfg()),
        "sparse RPN, class balance": _sparse_rpn,
        "all background": _all_background,
        "mosaic": lambda: _dense(mixing=MOSAIC),
    },
}


def losses_of_steps(build: Callable[[], nn.Module]) -> list[dict[str, float]]:
    """Losses and figures of the first steps, the teacher following the student."""
    model = build()
    trained = [p for p in model.student.parameters() if p.requires_grad]
    optimiser = torch.optim.SGD(trained, lr=0.01)
    steps = []
    for iteration in range(NUM_STEPS):
        torch.manual_seed(iteration)
        model.iteration = iteration
        losses = model.loss(*_batch(iteration))
        optimiser.zero_grad()
        total(losses).backward()
        optimiser.step()
        states = [
            [*m.parameters(), *m.buffers()] for m in (model.teacher, model.student)
        ]
        update_ema(*states, momentum=0.5)
        steps.append({key: _number(value) for key, value in losses.items()})
    return steps


def _batch(iteration: int) -> tuple[dict, dict]:
    """Four unlabelled images, their strong views mirrored, moved and partly erased."""
    inputs, samples = batch(num_unsup=4, seed=iteration)
    inputs["unsup_student"] = inputs["unsup_teacher"].flip(-1)
    mirrored = torch.tensor([[-1.0, 0.0, 96.0], [0.0, 1.0, 3.0], [0.0, 0.0, 1.0]])
    erased = torch.tensor([[0.0, 0.0, 30.0, 40.0]])
    for strong in samples["unsup_student"]:
        strong.set_metainfo(
            dict(homography_matrix=mirrored.numpy(), erased_patches=erased.numpy())
        )
    return inputs, samples


def _number(value: object) -> float:
    parts = value if isinstance(value, list) else [value]
    return float(sum(part.detach().double().mean() for part in parts))


def stored(method: str) -> dict[str, list[dict[str, float]]]:
    """The losses that a method's variants had when they were stored last."""
    return json.loads((FOLDER / f"{method}.json").read_text())


def renew() -> None:
    """Store what the code gives now."""
    register_all_modules(init_default_scope=True)
    for method, variants in CASES.items():
        losses = {name: losses_of_steps(build) for name, build in variants.items()}
        text = json.dumps(losses, indent=1, sort_keys=True)
        (FOLDER / f"{method}.json").write_text(f"{text}\n")


if __name__ == "__main__":
    torch.set_num_threads(1)
    renew()
