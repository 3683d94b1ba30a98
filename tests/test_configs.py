"""Every shipped config parses, names only what exists, and is listed."""

from __future__ import annotations

import ast
import time
from functools import cache
from pathlib import Path

import mmcv.ops
import mmdet.registry
import pytest
import torch
import yaml
from mmdet.registry import MODELS
from mmengine.config import Config
from mmengine.registry import Registry

from ssod_mm.cli.lookup import changed_keys, config_roots, load_config, load_parent
from ssod_mm.cli.resolve import resolve_config
from ssod_mm.data.samplers import batch_composition
from ssod_mm.engine.runtime import import_custom_modules
from tests.config_runs import SLUGS, dicts_in, parse_name, shipped_configs

ROOT = config_roots()[0]
CONFIGS = shipped_configs()
REGISTRIES = [r for r in vars(mmdet.registry).values() if isinstance(r, Registry)]
NUM_CLASSES = {"coco": 80, "voc": 20, "shapes": 8, "folder": 7}
BOX_HEADS = {
    "frcnn": "Shared2FCBBoxHead",
    "ifrcnn": "IntervalBBoxHead",
    "gfrcnn": "GaussianBBoxHead",
    "ffrcnn": "Shared2FCBBoxHead",
}
each_config = pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)


@cache
def config(path: Path) -> Config:
    return load_config(path)


@cache
def is_registered(name: str) -> bool:
    """Whether a registry, or mmcv's operators (RoIAlign, nms), know a type."""
    known = any(registry.get(name) is not None for registry in REGISTRIES)
    return known or hasattr(mmcv.ops, name)


def inherited(path: Path) -> str | list[str]:
    """What a config's ``_base_`` says."""
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "_base_":
            return ast.literal_eval(node.value)
    raise AssertionError(f"{path} inherits nothing")


def is_leaf(path: Path) -> bool:
    return isinstance(inherited(path), str)


LEAVES = [path for path in CONFIGS if is_leaf(path)]


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
    assert cfg.percent == int(name["percent"] or 100)
    if name["iterations"] != "short":
        assert cfg.train_cfg.max_iters == int(name["iterations"][:-1]) * 1000
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
        "frcnn": "FasterRCNN",
        "ifrcnn": "FasterRCNN",
        "gfrcnn": "FasterRCNN",
        "ffrcnn": "FasterRCNN",
        "cascade": "CascadeRCNN",
        "retinanet": "RetinaNet",
        "fcos": "FCOS",
    }
    assert detector.type == detectors[name["detector"]]
    plain = (name["switch"] or "").startswith("no_ca")  # no certainty, no such head
    if name["detector"] in BOX_HEADS and not plain:
        assert detector.roi_head.bbox_head.type == BOX_HEADS[name["detector"]]
    if name["detector"] == "ffrcnn":
        assert detector.roi_head.bbox_head.loss_cls.type == "FocalRoILoss"


@each_config
def test_header_gives_the_command(path: Path):
    header = ast.get_docstring(ast.parse(path.read_text()))
    assert header
    if not is_leaf(path):
        assert f"{path.parent.name}/{path.name}" in header
        assert "tools/" in header


@each_config
def test_types_are_registered(path: Path):
    cfg = config(path)
    import_custom_modules(cfg)
    names = {part["type"] for part in dicts_in(cfg.to_dict()) if "type" in part}
    unknown = [name for name in names if not is_registered(name)]
    assert not unknown


@each_config
def test_fold_and_percent_fill_every_path(path: Path):
    options = {"data_root": "/some/where"}
    cfg = load_config(path, options)
    cfg = resolve_config(cfg, fold=3, percent=2.5, cfg_options=options, check_files=())
    text = str(cfg.to_dict())
    assert "{" not in text.replace("{'", "").replace("{}", "")
    used = dicts_in([cfg.train_dataloader, cfg.val_dataloader, cfg.custom_hooks])
    files = [part["ann_file"] for part in used if part.get("ann_file")]
    assert "data/" not in str(files)
    name = parse_name(path.stem)
    if name["percent"]:
        splits = {Path(file).name for file in files if "@" in file}
        stem = splits.copy().pop().split(".")[0]
        endings = {
            "supervised": [""],
            "soft_teacher": ["", "-unlabeled"],
            "mean_teacher": ["", "-unlabeled", "-hidden"],
            "certainty": ["", "-unlabeled", "-hidden"],
            "lerprc": ["", "-unlabeled", "-hidden"],
            "dtg": ["", "-unlabeled", "-hidden"],
        }[name["slug"]]
        assert splits == {f"{stem}.3@2.5{ending}.json" for ending in endings}


@each_config
def test_the_heads_have_the_datas_classes(path: Path):
    dataset = parse_name(path.stem)["dataset"].split("_")[0]
    heads = [
        part["num_classes"]
        for part in dicts_in(config(path).model.to_dict())
        if "num_classes" in part
    ]
    assert heads
    assert set(heads) == {NUM_CLASSES[dataset]}


def test_one_option_changes_every_head_and_every_root():
    for name in ("supervised", "mean_teacher", "soft_teacher"):
        path = next(ROOT.glob(f"{name}/*_mnv2_*_folder_p10.py"))
        options = {"num_classes": 3, "data_root": "/x", "pretrained": "w.pth"}
        cfg = load_config(path, options).to_dict()
        parts = list(dicts_in(cfg))
        assert {p["num_classes"] for p in parts if "num_classes" in p} == {3}
        assert {p["data_root"] for p in parts if "data_root" in p} == {"/x"}
        assert {p["checkpoint"] for p in parts if p.get("type") == "Pretrained"} == {
            "w.pth"
        }


# Ablations inherit from these.
FOLDER = [
    path
    for path in CONFIGS
    if path.stem.endswith("_mnv2_short_folder_p10")
    and path.parent.name in ("mean_teacher", "certainty", "lerprc", "dtg")
]


@pytest.mark.parametrize("path", FOLDER, ids=lambda path: path.stem)
def test_dtg_runs_each_half_alone_where_batch_norm_is_frozen(path: Path):
    options = {"num_classes": 3, "data_root": "/x"}
    cfg = load_config(path, options)
    assert cfg.model.semi_train_cfg.get("joint_forward", 0.1) == 0.1
    assert not cfg.model.detector.backbone.norm_eval
    cfg = load_config(path, {**options, "pretrained": "w.pth"})
    own_pass = cfg.model.semi_train_cfg.get("joint_forward", 0.1) is False
    assert own_pass == (path.parent.name == "dtg")
    assert cfg.model.detector.backbone.norm_eval


def test_a_shorter_run_keeps_the_shape_of_its_schedule():
    path = next(ROOT.glob("mean_teacher/*_r50_180k_coco_p10.py"))
    cfg = load_config(path, {"max_iters": 1800})
    assert cfg.train_cfg.max_iters == 1800
    assert cfg.param_scheduler[1].milestones == [1200, 1600]
    assert cfg.param_scheduler[1].end == 1800


@each_config
def test_batches_can_be_composed(path: Path):
    cfg = config(path)
    loader = cfg.train_dataloader
    ratio = loader.sampler.source_ratio
    assert len(batch_composition(loader.batch_size, ratio)) == len(ratio)
    assert len(ratio) in (1, len(loader.dataset.datasets))  # 1: from the union
    assert cfg.auto_scale_lr.enable
    name = parse_name(path.stem)
    if name["iterations"] != "short":
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
    hooks = [hook["type"] for hook in cfg.custom_hooks]
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


@pytest.mark.parametrize("path", LEAVES, ids=lambda path: path.stem)
def test_a_leaf_changes_little(path: Path):
    changes = changed_keys(load_parent(path), config(path))
    name = parse_name(path.stem)
    if name["switch"]:
        assert changes
        lines = [line for line in path.read_text().splitlines() if line.strip()]
        assert len(lines) < 20
    elif name["percent"]:
        assert set(changes) - {"teacher_config"} == {"percent"}
        lines = [line for line in path.read_text().splitlines() if line.strip()]
        assert len(lines) < 15
    else:
        places = ("percent", "train_dataloader.dataset", "custom_hooks")
        assert all(key.startswith(places) for key in changes)


@pytest.mark.parametrize(
    ("name", "millions"),
    [
        ("_base_/models/faster-rcnn_r50_fpn", 41.75),
        ("_base_/models/cascade-rcnn_r50_fpn", 69.39),
        ("_base_/models/faster-rcnn_r50_fpn_interval", 41.67),
        ("_base_/models/cascade-rcnn_r50_fpn_interval", 70.12),
        ("_base_/models/retinanet_r50_fpn", 37.97),
        ("_base_/models/fcos_r50_fpn", 32.30),
        ("_base_/models/faster-rcnn_mobilenetv2_tiny", None),
        ("_base_/models/faster-rcnn_r18_tiny", None),
        ("supervised/supervised_ifrcnn_mnv2_short_folder_p10", None),
        ("supervised/supervised_ifrcnn_r18_short_shapes_p05", None),
        ("certainty/certainty_ifrcnn_mnv2_short_folder_p10_abl_no_ca", None),
    ],
)
def test_detectors_build_at_full_width(name: str, millions: float, mmdet_scope):
    """On the meta device, so without memory, weights or time."""
    cfg = load_config(ROOT / f"{name}.py")
    model = cfg.get("model") or cfg.student
    with torch.device("meta"):
        model = MODELS.build(model.get("detector", model))
    count = sum(parameter.numel() for parameter in model.parameters()) / 1e6
    if millions is None:
        assert count < 6
    else:
        assert count == pytest.approx(millions, abs=0.01)


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
    paths = sorted(folder.glob("*.py"))
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
