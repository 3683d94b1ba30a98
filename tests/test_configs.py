"""Every shipped config parses, names only what exists, and is listed."""

from __future__ import annotations

import ast
import time
from functools import cache
from pathlib import Path
from statistics import median

import mmcv.ops
import mmdet
import mmdet.registry
import pytest
import torch
import yaml
from mmdet.registry import MODELS
from mmengine.config import Config
from mmengine.registry import Registry

from ssod_mm.cli.lookup import config_roots, load_config
from ssod_mm.cli.parameters import RUN_KEYS
from ssod_mm.cli.resolve import resolve_config
from ssod_mm.data.samplers import batch_composition
from ssod_mm.engine.runtime import import_custom_modules
from ssod_mm.sweep.targets import load_target
from tests.config_runs import SLUGS, dicts_in, parse_name, shipped_configs

ROOT = config_roots()[0]
STOCK = Path(mmdet.__file__).parent / ".mim" / "configs"
CONFIGS = shipped_configs()
REGISTRIES = [r for r in vars(mmdet.registry).values() if isinstance(r, Registry)]
NUM_CLASSES = {"coco": 80, "voc": 20, "shapes": 8, "folder": 7}
OWN_HEADS = {"certainty": "interval", "lerprc": "gaussian", "dtg": "focal"}
BOX_HEADS = {
    None: ("Shared2FCBBoxHead", "CrossEntropyLoss"),
    "plain": ("Shared2FCBBoxHead", "CrossEntropyLoss"),
    "interval": ("IntervalBBoxHead", "CrossEntropyLoss"),
    "gaussian": ("GaussianBBoxHead", "CrossEntropyLoss"),
    "focal": ("Shared2FCBBoxHead", "FocalRoILoss"),
    "interval-focal": ("IntervalBBoxHead", "FocalRoILoss"),
}
each_config = pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)


@cache
def config(path: Path) -> Config:
    return resolve_config(load_config(path), check_files=())


@cache
def is_registered(name: str) -> bool:
    """Whether a registry, or mmcv's operators (RoIAlign, nms), know a type."""
    known = any(registry.get(name) is not None for registry in REGISTRIES)
    return known or hasattr(mmcv.ops, name)


def test_every_folder_has_configs():
    assert {path.parent.name for path in CONFIGS} == set(SLUGS)


@pytest.mark.parametrize("path", sorted(ROOT.rglob("*.py")), ids=lambda path: path.stem)
def test_a_config_imports_nothing(path: Path):
    tree = ast.parse(path.read_text())
    imports = (ast.Import, ast.ImportFrom)
    assert not [node for node in ast.walk(tree) if isinstance(node, imports)]


@each_config
def test_parses_fast(path: Path):
    start = time.process_time()
    load_config(path)
    assert time.process_time() - start < 2.0


@each_config
def test_name_says_what_the_config_holds(path: Path):
    name, cfg = parse_name(path.stem), config(path)
    assert name["slug"] == path.parent.name
    kind = {
        "supervised": cfg.model.type,
        "mean_teacher": "MeanTeacher",
        "soft_teacher": "SoftTeacher",
        "certainty": "CertaintyTeacher",
        "lerprc": "LerPrcTeacher",
        "dtg": "DenseGuidanceTeacher",
    }[name["slug"]]
    assert cfg.model.type == kind
    detector = cfg.model.get("detector", cfg.model)
    detectors = {
        "faster-rcnn": "FasterRCNN",
        "cascade-rcnn": "CascadeRCNN",
        "retinanet": "RetinaNet",
        "fcos": "FCOS",
        "gfl": "GFL",
        "rtmdet": "RTMDet",
        "yolox": "YOLOX",
        "deformable-detr": "DeformableDETR",
        "dino": "DINO",
    }
    assert detector.type == detectors[name["detector"]]
    if name["detector"] == "faster-rcnn":
        head = name["head"] or OWN_HEADS.get(name["slug"])
        if path.stem == "dtg_faster-rcnn-interval_mnv2_folder":
            head = "interval-focal"
        box_head = detector.roi_head.bbox_head
        assert (box_head.type, box_head.loss_cls.type) == BOX_HEADS[head]


@each_config
def test_header_gives_the_command(path: Path):
    header = ast.get_docstring(ast.parse(path.read_text()))
    assert header
    assert f"{path.parent.name}/{path.name}" in header
    assert "tools/" in header


def files_behind(path: Path) -> tuple[set[Path], int]:
    """The files of a config, itself included, and the depth of its inheritance."""
    files, depth = {path}, 1
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "_base_":
            bases = ast.literal_eval(node.value)
            for base in [bases] if isinstance(bases, str) else bases:
                below, levels = files_behind((path.parent / base).resolve())
                files |= below
                depth = max(depth, levels + 1)
    return files, depth


def test_a_config_is_read_in_few_files():
    counts = [files_behind(path) for path in CONFIGS]
    assert max(len(files) for files, _ in counts) <= 6
    assert max(depth for _, depth in counts) <= 3
    assert median(len(files) for files, _ in counts) <= 4
    # GFL on a folder has a file for each of four methods, which `--detector gfl` finds.
    assert len(list(ROOT.rglob("*.py"))) <= 113


@pytest.mark.parametrize("path", sorted(ROOT.rglob("*.py")), ids=lambda path: path.stem)
def test_a_config_changes_nothing_by_position(path: Path):
    tree = ast.parse(path.read_text())
    assert not [node for node in ast.walk(tree) if isinstance(node, ast.Delete)]
    places = [
        ast.unparse(node)
        for node in ast.walk(tree)
        if (
            isinstance(node, ast.Subscript) and not isinstance(node.slice, ast.Constant)
        )
        or (
            isinstance(node, ast.Subscript)
            and isinstance(node.slice, ast.Constant)
            and isinstance(node.slice.value, int)
        )
    ]
    assert not places


@each_config
def test_the_complete_config_holds_only_what_is_read(path: Path):
    assert set(config(path)) <= RUN_KEYS


@each_config
def test_types_are_registered(path: Path):
    cfg = config(path)
    import_custom_modules(cfg)
    names = {part["type"] for part in dicts_in(cfg.to_dict()) if "type" in part}
    unknown = [name for name in names if not is_registered(name)]
    assert not unknown


@each_config
def test_fold_and_percent_fill_every_path(path: Path):
    options = {"data_root": "/some/where", "max_iters": 100}
    if "coco_root" in load_config(path):
        options["coco_root"] = "/some/where/else"
    cfg = resolve_config(
        load_config(path), fold=3, percent=2.5, cfg_options=options, check_files=()
    )
    text = str(cfg.to_dict())
    assert "{" not in text.replace("{'", "").replace("{}", "")
    used = dicts_in([cfg.train_dataloader, cfg.val_dataloader, cfg.default_hooks])
    files = [part["ann_file"] for part in used if part.get("ann_file")]
    assert "data/" not in str(files)
    splits = {Path(file).name for file in files if "@" in file}
    if splits:
        stem = splits.copy().pop().split(".")[0]
        endings = {
            "supervised": [""],
            "soft_teacher": ["", "-unlabeled"],
        }.get(parse_name(path.stem)["slug"], ["", "-unlabeled", "-hidden"])
        assert splits == {f"{stem}.3@2.5{ending}.json" for ending in endings}


@each_config
def test_the_heads_have_the_datas_classes(path: Path):
    dataset = parse_name(path.stem)["dataset"].split("_")[0]
    options = {"num_classes": 7} if dataset == "folder" else {}
    cfg = resolve_config(load_config(path), cfg_options=options, check_files=())
    heads = [
        part["num_classes"]
        for part in dicts_in(cfg.model.to_dict())
        if "num_classes" in part
    ]
    assert heads
    assert set(heads) == {NUM_CLASSES[dataset]}


def test_one_option_changes_every_head_and_every_root():
    for name in ("supervised", "mean_teacher", "soft_teacher"):
        path = ROOT / f"{name}/{name}_faster-rcnn_mnv2_folder.py"
        options = {"num_classes": 3, "data_root": "/x", "pretrained": "w.pth"}
        cfg = resolve_config(load_config(path), cfg_options=options, check_files=())
        parts = list(dicts_in(cfg.to_dict()))
        assert {p["num_classes"] for p in parts if "num_classes" in p} == {3}
        assert {p["data_root"] for p in parts if "data_root" in p} == {"/x"}
        assert {p["checkpoint"] for p in parts if p.get("type") == "Pretrained"} == {
            "w.pth"
        }


@each_config
def test_batches_can_be_composed(path: Path):
    cfg = config(path)
    loader = cfg.train_dataloader
    ratio = loader.sampler.source_ratio
    assert len(batch_composition(loader.batch_size, ratio)) == len(ratio)
    assert len(ratio) in (1, len(loader.dataset.datasets))  # 1: from the union
    assert cfg.auto_scale_lr.enable
    name = parse_name(path.stem)
    if name["backbone"] == "r50" or name["dataset"] == "coco":
        num_gpus = {"certainty": 4, "lerprc": 2}.get(name["slug"], 8)
        assert cfg.auto_scale_lr.base_batch_size == loader.batch_size * num_gpus


@each_config
def test_the_best_model_is_one_that_is_evaluated(path: Path):
    cfg = config(path)
    semi = parse_name(path.stem)["slug"] != "supervised"
    best = cfg.default_hooks.checkpoint.save_best
    judged = cfg.val_cfg.get("models", ["teacher"])
    keys = [f"{name}/coco/bbox_mAP" for name in judged] if semi else ["coco/bbox_mAP"]
    assert best in keys
    assert cfg.val_cfg.type == ("BothModelsValLoop" if semi else "ValLoop")
    hooks = [hook["type"] for hook in cfg.default_hooks.values() if hook]
    assert len(hooks) == len(set(hooks))
    assert ("MeanTeacherEMAHook" in hooks) == semi
    assert {"IterationSeedHook", "StopOnNaNHook"} <= set(hooks)


@each_config
def test_true_boxes_never_reach_the_training_set(path: Path):
    sources = config(path).train_dataloader.dataset.datasets
    unlabelled = [d for d in dicts_in(sources[1:]) if d.get("ann_file")]
    for dataset in unlabelled:
        file = dataset["ann_file"]
        assert file.endswith("-unlabeled.json") or "instances_unlabeled2017" in file
    pipelines = str([d.get("pipeline") for d in dicts_in(sources[1:])])
    assert "LoadAnnotations" not in pipelines


@pytest.mark.parametrize(
    ("name", "head", "millions"),
    [
        ("faster-rcnn_r50_fpn", None, 41.75),
        ("cascade-rcnn_r50_fpn", None, 69.39),
        ("faster-rcnn_r50_fpn", "interval_head", 41.67),
        ("cascade-rcnn_r50_fpn", "interval_head", 70.12),
        ("cascade-rcnn_r50_fpn", "gaussian_head", None),
        ("retinanet_r50_fpn", None, 37.97),
        ("fcos_r50_fpn", None, 32.30),
        ("folder", None, None),
        ("folder", "interval_focal_head", None),
        ("shapes", "interval_head", None),
    ],
)
def test_detectors_build_at_full_width(name, head, millions, mmdet_scope):
    """On the meta device, so without memory, weights or time."""
    cfg = load_config(ROOT / f"_base_/{name}.py")
    detector = cfg.detector
    if head:
        detector.roi_head.bbox_head = cfg[head]
    with torch.device("meta"):
        model = MODELS.build(detector)
    count = sum(parameter.numel() for parameter in model.parameters()) / 1e6
    if millions is not None:
        assert count == pytest.approx(millions, abs=0.01)
    elif name != "cascade-rcnn_r50_fpn":
        assert count < 6


@pytest.mark.parametrize(
    ("file", "name", "stock"),
    [
        ("detr_r50", "dino", "dino/dino-4scale_r50_8xb2-12e_coco.py"),
        (
            "detr_r50",
            "deformable_detr",
            "deformable_detr/deformable-detr-refine-twostage_r50_16xb2-50e_coco.py",
        ),
        ("one_stage_s", "rtmdet", "rtmdet/rtmdet_s_8xb32-300e_coco.py"),
        ("one_stage_s", "yolox", "yolox/yolox_s_8xb8-300e_coco.py"),
    ],
)
def test_a_detector_of_mmdets_own_width_takes_its_weights(
    file, name, stock, mmdet_scope
):
    ours = load_config(ROOT / f"_base_/{file}.py")[name]
    theirs = Config.fromfile(STOCK / stock).model
    assert state_shapes(ours) == state_shapes(theirs)


def state_shapes(detector) -> dict[str, torch.Size]:
    """Shapes of a detector's tensors; it is built without memory or weights."""
    with torch.device("meta"):
        model = MODELS.build(detector)
    return {key: value.shape for key, value in model.state_dict().items()}


@pytest.mark.parametrize("row", ["supervised_rtmdet_tiny", "rtmdet_tiny"])
def test_a_row_is_rtmdet_tiny(row, mmdet_scope):
    cfg = resolve_config(load_target(f"coco_detectors:{row}"), check_files=())
    detector = cfg.model.get("detector", cfg.model)
    theirs = Config.fromfile(STOCK / "rtmdet/rtmdet_tiny_8xb32-300e_coco.py").model
    assert state_shapes(detector) == state_shapes(theirs)
    assert detector.backbone.init_cfg.checkpoint == theirs.backbone.init_cfg.checkpoint


@pytest.mark.parametrize(
    ("file", "name"),
    [("shapes_detectors", "rtmdet"), ("shapes_detectors", "dino"), ("folder", "gfl")],
)
def test_small_detectors_are_small(file, name, mmdet_scope):
    detector = load_config(ROOT / f"_base_/{file}.py")[name]
    with torch.device("meta"):
        model = MODELS.build(detector)
    assert sum(parameter.numel() for parameter in model.parameters()) < 4e6


def test_the_model_index_lists_every_metafile():
    index = yaml.safe_load((ROOT.parent / "model-index.yml").read_text())
    assert sorted(index["Import"]) == sorted(
        f"configs/{slug}/metafile.yml" for slug in SLUGS
    )


@pytest.mark.parametrize("slug", SLUGS)
def test_metafile_and_readme_list_every_config(slug: str):
    folder = ROOT / slug
    metafile = yaml.safe_load((folder / "metafile.yml").read_text())
    (collection,) = metafile["Collections"]
    assert (ROOT.parent / collection["README"]).is_file()
    models = metafile["Models"]
    paths = [path for path in CONFIGS if path.parent == folder]
    assert sorted(m["Config"] for m in models) == [
        f"configs/{slug}/{path.name}" for path in paths
    ]
    readme = (folder / "README.md").read_text()
    for model in models:
        path = ROOT.parent / model["Config"]
        assert model["Name"] == path.stem
        assert model["In Collection"] == collection["Name"]
        assert model["Metadata"]["Iterations"] == config(path).train_cfg.max_iters
        assert f"({path.name})" in readme
        for result in model["Results"]:
            assert all(r["Source"] and r["box AP"] > 0 for r in result["Reported"])
