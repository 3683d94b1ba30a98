"""Two processes give the gradients of one process with the joint batch."""

from __future__ import annotations

import pytest
import torch
import torch.multiprocessing

from ssod_mm.cli.lookup import load_config
from ssod_mm.cli.resolve import resolve_config
from tests.ddp_worker import (
    first_unlabelled,
    gradients,
    save_gradients_of_rank,
    use_first_sampler,
)
from tests.helpers import make_tiny_coco, tiny_mean_teacher_cfg, tiny_supervised_cfg

WORLD_SIZE, BATCH_SIZE = 2, 3


def dense_cfg(cfg):
    """The same run under dense guidance, by a teacher with many candidates."""
    model = cfg["model"]
    model.update(type="DenseGuidanceTeacher", dense=dict(rpn=dict(tau=0.5)))
    model["detector"]["roi_head"]["bbox_head"].update(
        # The number of foreground candidates differs between the processes.
        loss_cls=dict(type="FocalRoILoss", norm="all"),
        cls_predictor_cfg=dict(type="PriorLinear", prior=0.5),
    )
    return cfg


def lerprc_cfg(cfg):
    """The same run by LER/PRC, each loss divided by the number of candidates.

    With a mean over the foreground, each process divides by its own number of them.
    """
    model = cfg["model"]
    norms = dict(ler=dict(reg_norm="sampled"), prc=dict(cls_norm="joint"))
    model.update(type="LerPrcTeacher", **norms)
    head = model["detector"]["roi_head"]["bbox_head"]
    head.update(type="GaussianBBoxHead", loss_norm="sampled")
    return few_rois(cfg)


def few_rois(cfg):
    """The same run with so few candidates that every image has as many."""
    for stage in ("rpn", "rcnn"):
        cfg["model"]["detector"]["train_cfg"][stage]["sampler"]["num"] = 16
    return cfg


def shipped_cfg(cfg):
    """The same data, and the model of the COCO config, by a teacher sure of anything.

    Its backbone's batch norm is frozen, the first of the three conditions.
    """
    name = "mean_teacher/mean_teacher_faster-rcnn_r50_coco.py"
    model = resolve_config(load_config(name), check_files=()).model.to_dict()
    model["semi_train_cfg"].update(score_thr=0.0, burn_in=0)
    detector = model["detector"]
    del detector["backbone"]["init_cfg"]  # nothing to fetch
    detector["test_cfg"]["rcnn"].update(score_thr=0.0, max_per_img=10)
    return few_rois({**cfg, "model": model})


@pytest.fixture(scope="module")
def cfgs(tmp_path_factory):
    """For each kind of training: model, data and ratio."""
    data = make_tiny_coco(tmp_path_factory.mktemp("ddp"), 12)
    cfgs = {}
    for name, cfg in (
        ("supervised", tiny_supervised_cfg(data, batch_size=BATCH_SIZE)),
        ("mean_teacher", tiny_mean_teacher_cfg(data, batch_size=BATCH_SIZE)),
        ("one_labelled", few_rois(tiny_mean_teacher_cfg(data, batch_size=BATCH_SIZE))),
        ("lerprc", lerprc_cfg(tiny_mean_teacher_cfg(data, batch_size=BATCH_SIZE))),
        ("dtg", dense_cfg(tiny_mean_teacher_cfg(data, batch_size=BATCH_SIZE))),
        ("shipped", shipped_cfg(tiny_mean_teacher_cfg(data, batch_size=BATCH_SIZE))),
    ):
        use_first_sampler(cfg["model"].get("detector", cfg["model"]))
        loader = cfg["train_dataloader"]
        cfgs[name] = dict(
            model=cfg["model"],
            dataset=loader["dataset"],
            source_ratio=loader["sampler"]["source_ratio"],
        )
    # The other process has no pseudo label at all.
    cfg = cfgs["one_labelled"]
    cfg["only_image"] = first_unlabelled(cfg, WORLD_SIZE * BATCH_SIZE, iteration=1)
    return cfgs


@pytest.fixture(scope="module")
def ranks(cfgs, tmp_path_factory):
    """``ranks[name][rank]``: gradients that each of two processes ends up with."""
    folder = tmp_path_factory.mktemp("ranks")
    torch.multiprocessing.start_processes(
        save_gradients_of_rank,
        args=(cfgs, WORLD_SIZE, BATCH_SIZE, str(folder)),
        nprocs=WORLD_SIZE,
        # forking spares the imports, but does not go with CUDA
        start_method="spawn" if torch.cuda.is_available() else "fork",
    )
    return {
        name: [torch.load(folder / f"{name}_{rank}.pth") for rank in range(WORLD_SIZE)]
        for name in cfgs
    }


@pytest.mark.parametrize(
    "name", ["supervised", "mean_teacher", "one_labelled", "lerprc", "dtg", "shipped"]
)
def test_gradients_equal_those_of_the_joint_batch(cfgs, ranks, name):
    joint = gradients(cfgs[name], WORLD_SIZE * BATCH_SIZE, iteration=1)
    first, second = ranks[name]
    assert set(first) == set(joint)
    for key, expected in joint.items():
        assert torch.equal(first[key], second[key]), key
        scale = max(expected.abs().max().item(), 1e-3)
        torch.testing.assert_close(
            first[key], expected, rtol=1e-4, atol=1e-5 * scale, msg=key
        )
    if name == "shipped":  # half a minute is enough
        return
    # the test sees a difference: one process's own batch has other gradients
    alone = gradients(cfgs[name], BATCH_SIZE, iteration=1)
    weight = max(joint, key=lambda key: joint[key].abs().max())
    assert not torch.allclose(alone[weight], joint[weight], rtol=1e-2)
