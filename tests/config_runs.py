"""What lets every shipped config run one training step in about a second.

``make_layouts`` writes tiny data in the folder layouts that the dataset fragments
expect, so that file names, splits and class lists are the configs' own. ``shrink``
makes images, networks and run lengths small and leaves the rest of a config alone.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from mmengine.config import Config

from ssod_mm.cli.lookup import config_roots
from ssod_mm.data.split_files import make_splits, without_annotations
from tests.helpers import make_tiny_coco

SCALE = (128, 96)
WIDTH, FC_WIDTH, NUM_BOXES = 32, 64, 20
REPORTING = ("PseudoLabelQualityHook", "ClassBalanceLogHook", "DrawPseudoLabelsHook")
# What an untrained detector passes: objectness 0.5, class probability 0.01.
DENSE_TAU = {"rpn": 0.5, "rcnn": 0.005, "head": 0.01}
CSP = dict(widen_factor=1 / 4, deepen_factor=1 / 6)
ANY_WIDTH = ("in_channels", "out_channels", "feat_channels")
ROOT_OF_DATASET = {
    "coco": "coco",
    "coco_full": "coco",
    "voc": "voc",
    "voc_coco20": "voc",
    "shapes": "shapes",
    "folder": "folder",
    "folder_images": "folder",
}
SLUGS = (
    "supervised",
    "mean_teacher",
    "soft_teacher",
    "certainty",
    "lerprc",
    "dtg",
)
DETECTORS = (
    *("faster-rcnn", "cascade-rcnn", "retinanet", "fcos", "gfl", "rtmdet", "yolox"),
    *("deformable-detr", "dino"),
)
HEADS = ("interval", "gaussian", "focal", "interval-focal", "plain")
BACKBONES = ("r50", "mnv2", "r18", "s", "nano")
DATASETS = tuple(ROOT_OF_DATASET)
NAME = re.compile(
    rf"(?P<slug>{'|'.join(SLUGS)})_(?P<detector>{'|'.join(DETECTORS)})"
    rf"(-(?P<head>{'|'.join(HEADS)}))?_(?P<backbone>{'|'.join(BACKBONES)})"
    rf"_(?P<dataset>{'|'.join(DATASETS)})"
)


def shipped_configs() -> list[Path]:
    """Every config that trains, sorted; a method's file has its folder's name."""
    root = config_roots()[0]
    parts = {"_base_", "_sweeps"}
    return sorted(
        path
        for path in root.rglob("*.py")
        if not parts & set(path.parts) and path.stem != path.parent.name
    )


def parse_name(stem: str) -> dict[str, str | None]:
    """The parts of a config's name."""
    match = NAME.fullmatch(stem)
    assert match, f"{stem} does not follow slug_detector[-head]_backbone_dataset"
    return match.groupdict()


def make_layouts(root: Path) -> Path:
    """Write tiny data for all dataset fragments: coco, voc, folder and shapes."""
    _make_coco(root / "coco")
    _make_voc(root / "voc")
    for name, num_classes in (("folder", 7), ("shapes", 8)):
        _make_images(root / name, 20, num_classes)
        _split(root / name / "annotations/instances_train.json", [5, 10])
    shutil.copytree(root / "folder/train", root / "folder/unlabelled")
    return root


def _make_images(root: Path, num_images: int, num_classes: int) -> None:
    """Tiny train part and two val images; only three of the classes occur."""
    make_tiny_coco(root, num_images, num_classes=3)
    for path in (root / "annotations").glob("*.json"):
        document = json.loads(path.read_text())
        document["categories"] += [
            dict(id=number, name=f"class_{number - 1}")
            for number in range(4, num_classes + 1)
        ]
        if path.stem == "instances_val":
            document["images"] = document["images"][:2]
        kept = {image["id"] for image in document["images"]}
        document["annotations"] = [
            item for item in document["annotations"] if item["image_id"] in kept
        ]
        _write(path, document)


def _split(ann_file: Path, percents: list[float]) -> None:
    make_splits(ann_file, ann_file.parent / "semi", percents, folds=[1, 2])


def _make_coco(root: Path) -> None:
    _make_images(root, 100, num_classes=80)
    annotations = root / "annotations"
    for part in ("train", "val"):
        (root / part).rename(root / f"{part}2017")
        name = f"instances_{part}"
        (annotations / f"{name}.json").rename(annotations / f"{name}2017.json")
    _split(annotations / "instances_train2017.json", [1, 2, 5, 10])
    shutil.copytree(root / "val2017", root / "unlabeled2017")
    document = json.loads((annotations / "instances_val2017.json").read_text())
    _write(annotations / "instances_unlabeled2017.json", without_annotations(document))


def _make_voc(root: Path) -> None:
    _make_images(root, 8, num_classes=20)
    (root / "train2017").symlink_to("train")
    annotations = root / "annotations"
    train, val = (
        json.loads((annotations / f"instances_{part}.json").read_text())
        for part in ("train", "val")
    )
    coco20 = annotations / "instances_train2017_coco20-unlabeled.json"
    _write(coco20, without_annotations(train))
    for part, document in (("train", train), ("val", val)):
        for image in document["images"]:
            image["file_name"] = f"{part}/{image['file_name']}"
    _write(annotations / "voc07_trainval.json", train)
    _write(annotations / "voc12_trainval.json", train)
    _write(annotations / "voc12_trainval-unlabeled.json", without_annotations(train))
    _write(annotations / "voc07_test.json", val)


def _write(path: Path, document: dict[str, Any]) -> None:
    path.write_text(json.dumps(document))


def dicts_in(node: Any) -> Iterator[dict]:
    """Every dict in nested dicts and lists, outer ones first."""
    if isinstance(node, dict):
        yield node
    children = node.values() if isinstance(node, dict) else node
    if isinstance(node, (dict, list, tuple)):
        for child in children:
            yield from dicts_in(child)


def shrink(cfg: Config, max_iters: int = 1) -> Config:
    """A resolved config's run in small: tiny images, a narrow ResNet-18, no workers.

    Pseudo labels of every score are taken from the first iteration on, and hooks
    report at each, so that a single iteration passes through all of them.
    """
    for step in dicts_in([cfg.train_dataloader, cfg.val_dataloader]):
        if step.get("type") in ("RandomView", "Resize"):
            step["scale"] = SCALE
        if "num_workers" in step:
            step.update(num_workers=0, persistent_workers=False)
    loader = cfg.train_dataloader
    ratio = loader.sampler.source_ratio
    # About four images of each source, in the config's ratio.
    few = max(4 * len(ratio) // sum(ratio), 1) * sum(ratio)
    loader.batch_size = loader.sampler.batch_size = min(loader.batch_size, few)
    for part in dicts_in(cfg.model):
        _shrink_part(part)
    for name, stage in cfg.model.get("dense", {}).items():
        stage["tau"] = DENSE_TAU[name]
        cfg.model["semi_train_cfg"]["score_thr"] = DENSE_TAU["rcnn"]
    for hook in filter(None, cfg.default_hooks.values()):
        if hook["type"] in REPORTING:
            hook["interval"] = 1
        if hook.get("teacher") == "frozen":  # there is no first phase here
            hook["teacher"] = "ema"
    cfg.train_cfg.update(max_iters=max_iters, val_interval=max_iters)
    cfg.default_hooks.logger.interval = 1
    cfg.visualizer.vis_backends = [dict(type="LocalVisBackend")]
    return cfg


def _shrink_part(part: dict) -> None:
    shrink_one: dict[str, Callable[[dict], None]] = {
        "ResNet": _shrink_resnet,
        "MobileNetV2": lambda backbone: backbone.update(widen_factor=0.25),
        "FPN": _shrink_fpn,
        "CSPNeXt": lambda backbone: backbone.update(CSP, init_cfg=None),
        "CSPDarknet": lambda backbone: backbone.update(CSP),
        "CSPNeXtPAFPN": _shrink_csp_neck,
        "YOLOXPAFPN": _shrink_csp_neck,
        "DINO": _shrink_detr,
        "DeformableDETR": _shrink_detr,
        "ChannelMapper": lambda neck: None,  # of the width of the transformer
    }
    kind = part.get("type")
    if kind in shrink_one:
        shrink_one[kind](part)
    elif kind is not None:
        part.update({key: WIDTH for key in ANY_WIDTH if key in part})
        if "fc_out_channels" in part:
            part["fc_out_channels"] = FC_WIDTH
        if "exp_on_reg" in part:  # boxes of some pixels before any training
            part["exp_on_reg"] = True
        if kind == "FCOSHead":
            part["norm_cfg"] = dict(type="GN", num_groups=4)
    _let_some_through(part)


def _shrink_resnet(backbone: dict) -> None:
    backbone.update(
        depth=18, base_channels=16, stem_channels=16, style="pytorch", init_cfg=None
    )


def _shrink_fpn(neck: dict) -> None:
    mobile_net = 1280 in neck["in_channels"]
    stages = len(neck["in_channels"])
    narrow = [8, 24, 1280] if mobile_net else [16, 32, 64, 128][-stages:]
    neck.update(in_channels=narrow, out_channels=WIDTH)


def _shrink_csp_neck(neck: dict) -> None:
    neck.update(in_channels=[64, 128, 256], out_channels=WIDTH)


def _shrink_detr(detector: dict) -> None:
    """One layer of everything for few queries, of the width that it has."""
    detector["num_queries"] = NUM_BOXES
    stages = detector["backbone"]["out_indices"]
    detector["neck"]["in_channels"] = [16 * 2**stage for stage in stages]
    for stack in ("encoder", "decoder"):
        detector[stack]["num_layers"] = 1
        detector[stack]["layer_cfg"]["ffn_cfg"]["feedforward_channels"] = FC_WIDTH


def _let_some_through(part: dict) -> None:
    """No threshold on scores, but few boxes; the unlabelled loss starts at once."""
    for key in part:
        own = ("score_thr", "ignore_thr", "burn_in", "ramp_iters")
        if key in own or key.endswith("pseudo_thr"):
            part[key] = 0
        elif key == "clip":
            part[key] = (0.0, 1.0)
        elif key in ("nms_pre", "max_per_img"):
            part[key] = NUM_BOXES
