import copy
import json

import pytest
import torch
from mmdet.engine.runner.loops import TeacherStudentValLoop
from mmengine.hooks import Hook
from mmengine.model import MMDistributedDataParallel

from ssod_mm.engine.loops import check_save_best, predict_with
from ssod_mm.errors import UserError
from tests.engine.semi_runs import (
    build_semi_model,
    metric_cfg,
    runner_of,
    semi_cfg,
)
from tests.helpers import tiny_detector_cfg


class Recorder(Hook):
    priority = "LOWEST"

    def __init__(self):
        self.calls = []
        self.metrics = None
        self.outputs = []

    def record(self, name):
        self.calls.append(name)

    def before_val(self, runner):
        self.record("before_val")

    def before_val_epoch(self, runner):
        self.record("before_val_epoch")

    def before_val_iter(self, runner, batch_idx, data_batch=None):
        self.record(f"before_val_iter {batch_idx}")

    def after_val_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        self.record(f"after_val_iter {batch_idx}")
        self.outputs += [output.pred_instances.scores.clone() for output in outputs]

    def after_val_epoch(self, runner, metrics=None):
        self.record("after_val_epoch")
        self.metrics = metrics

    def after_val(self, runner):
        self.record("after_val")


@pytest.fixture
def runner(tiny_root, tmp_path):
    """A runner whose teacher and student differ, with a metric that notices."""
    torch.manual_seed(0)
    cfg = semi_cfg(tiny_root, tmp_path)
    ann_file = str(tiny_root / "annotations/instances_val.json")
    cfg.val_evaluator = [
        metric_cfg(tiny_root, iou_thrs=[0.1], metric_items=["mAP"]),
        dict(type="DumpDetResults", out_file_path=str(tmp_path / "found.pkl")),
        metric_cfg(
            tiny_root,
            prefix="files",
            outfile_prefix=str(tmp_path / "files"),
            iou_thrs=[0.1],
            metric_items=["mAP"],
        ),
    ]
    assert cfg.val_evaluator[0]["ann_file"] == ann_file
    built = runner_of(cfg)
    built.model.init_weights()
    # heads of a size that makes scores differ between boxes
    for name, scale in (("teacher", 0.3), ("student", 0.4)):
        head = getattr(built.model, name).roi_head.bbox_head.fc_cls
        torch.nn.init.normal_(head.weight, std=scale)
    return built


def test_metrics_of_both_models_from_one_pass(runner, tmp_path):
    dataset = runner.val_dataloader.dataset
    loaded = []
    original = dataset.__class__.__getitem__
    recorder = Recorder()
    runner.register_hook(recorder)
    before = copy.deepcopy(runner.model.state_dict())
    cfg_before = copy.deepcopy(runner.model.semi_test_cfg)

    def counting(self, index):
        loaded.append(index)
        return original(self, index)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dataset.__class__, "__getitem__", counting)
        metrics = runner.val_loop.run()

    assert sorted(loaded) == list(range(len(dataset)))
    assert recorder.calls == [
        "before_val",
        "before_val_epoch",
        "before_val_iter 0",
        "after_val_iter 0",
        "after_val_epoch",
        "after_val",
    ]
    assert recorder.metrics == metrics
    assert runner.model.semi_test_cfg == cfg_before
    after = runner.model.state_dict()
    assert all(torch.equal(before[key], after[key]) for key in before)

    # mmdet's loop gives the same numbers, in two passes
    stock_metrics = {}

    class StockRecorder(Hook):
        def after_val_epoch(self, runner, metrics=None):
            stock_metrics.update(metrics)

    runner.register_hook(StockRecorder())
    stock = TeacherStudentValLoop(
        runner, runner.val_dataloader, runner.val_loop.evaluator
    )
    stock.run()
    assert stock_metrics == metrics
    assert metrics["teacher/coco/bbox_mAP"] > 0
    assert metrics["teacher/coco/bbox_mAP"] != metrics["student/coco/bbox_mAP"]


def test_hooks_get_the_first_models_outputs_unspoilt(runner):
    recorder = Recorder()
    runner.register_hook(recorder)
    runner.val_loop.run()
    batch = next(iter(runner.val_dataloader))
    with predict_with(runner.model, "teacher"):
        expected = runner.model.val_step(batch)
    for got, sample in zip(recorder.outputs, expected, strict=True):
        torch.testing.assert_close(got, sample.pred_instances.scores)


def test_files_of_the_two_models_do_not_collide(runner, tmp_path):
    runner.val_loop.run()
    names = {path.name for path in tmp_path.iterdir() if path.is_file()}
    assert {"found.teacher.pkl", "found.student.pkl"} <= names
    assert {"files.teacher.bbox.json", "files.student.bbox.json"} <= names
    found = [
        json.loads((tmp_path / f"files.{name}.bbox.json").read_text())
        for name in ("teacher", "student")
    ]
    assert found[0] != found[1]


def test_prediction_choice_is_put_back_after_an_error(runner, monkeypatch):
    original = runner.model.semi_test_cfg
    monkeypatch.setattr(
        type(runner.model), "predict", lambda *_: (_ for _ in ()).throw(RuntimeError)
    )
    with pytest.raises(RuntimeError):
        runner.val_loop.run()
    assert runner.model.semi_test_cfg is original


def test_one_model_on_request(tiny_root, tmp_path):
    cfg = semi_cfg(tiny_root, tmp_path)
    cfg.val_cfg.models = ["student"]
    metrics = runner_of(cfg).val()
    assert metrics
    assert all(key.startswith("student/coco/") for key in metrics)


@pytest.mark.parametrize("models", [[], ["pupil"], ["teacher", "teacher"]])
def test_unknown_models_are_refused(tiny_root, tmp_path, models):
    cfg = semi_cfg(tiny_root, tmp_path)
    cfg.val_cfg.models = models
    with pytest.raises(ValueError, match=r"val_cfg\.models"):
        runner_of(cfg).val()


def test_plain_detector_is_refused_with_the_way_out(tiny_root, tmp_path):
    cfg = semi_cfg(tiny_root, tmp_path)
    cfg.model = tiny_detector_cfg()
    with pytest.raises(UserError, match=r"FasterRCNN has no teacher.*ValLoop"):
        runner_of(cfg).val()


def test_under_a_distributed_wrapper_and_with_amp(runner, tmp_path):
    expected = runner.val_loop.run()
    store = torch.distributed.FileStore(str(tmp_path / "store"), 1)
    torch.distributed.init_process_group("gloo", store=store, rank=0, world_size=1)
    try:
        runner.model = MMDistributedDataParallel(runner.model)
        assert runner.val_loop.run() == expected
    finally:
        torch.distributed.destroy_process_group()
    runner.model = runner.model.module
    runner.val_loop.__init__(
        runner, runner.val_dataloader, runner.val_loop.evaluator, fp16=True
    )
    assert runner.val_loop.run().keys() == expected.keys()


def test_validation_of_a_training_has_its_precision(tiny_root, tmp_path):
    cfg = semi_cfg(tiny_root, tmp_path, max_iters=1)
    cfg.train_cfg.val_interval = 1
    seen = []

    class Precision(Hook):
        """Notes the precision of the networks while it validates."""

        def before_val(self, runner):
            for model in (runner.model.teacher, runner.model.student):
                model.neck.register_forward_hook(lambda *a: seen.append(a[2][0].dtype))

    for kind, dtype in (
        ("OptimWrapper", torch.float32),
        ("MixedPrecisionOptimWrapper", torch.bfloat16),
    ):
        cfg.optim_wrapper.type = kind
        cfg.experiment_name = kind
        runner = runner_of(cfg)
        runner.register_hook(Precision())
        seen.clear()
        runner.train()
        assert set(seen) == {dtype}
        assert len(seen) == 2  # one batch, two models
    runner = runner_of(cfg)
    runner.register_hook(Precision())
    seen.clear()
    runner.val()  # no training: float32
    assert set(seen) == {torch.float32}


def test_test_loop(tiny_root, tmp_path):
    cfg = semi_cfg(tiny_root, tmp_path)
    cfg.test_dataloader = cfg.val_dataloader
    cfg.test_evaluator = cfg.val_evaluator
    cfg.test_cfg = dict(type="BothModelsTestLoop")
    metrics = runner_of(cfg).test()
    assert {"teacher/coco/bbox_mAP", "student/coco/bbox_mAP"} <= metrics.keys()


def with_save_best(root, work_dir, key):
    cfg = semi_cfg(root, work_dir, max_iters=1)
    cfg.default_hooks.checkpoint.update(save_best=key, rule="greater")
    return cfg


@pytest.mark.parametrize(
    "key", ["coco/bbox_mAP", "teacher/coco/bbox_map", "teacher/bbox_mAP"]
)
def test_impossible_save_best_is_refused_before_training(tiny_root, tmp_path, key):
    runner = runner_of(with_save_best(tiny_root, tmp_path, key))
    with pytest.raises(ValueError, match="save_best") as caught:
        runner.train()
    assert runner.iter == 0
    message = str(caught.value)
    assert f"'{key}'" in message
    assert "Did you mean 'teacher/coco/bbox_mAP'?" in message
    assert "student/coco/bbox_mAP_75" in message


def test_save_best_saves_and_training_goes_on(tiny_root, tmp_path):
    cfg = with_save_best(tiny_root, tmp_path, "student/coco/bbox_mAP")
    cfg.train_cfg.update(max_iters=2, val_interval=1)
    runner = runner_of(cfg)
    seen = []

    class ModeRecorder(Hook):
        def after_train_iter(self, runner, *_, **__):
            seen.append(runner.model.student.training)

    runner.register_hook(ModeRecorder())
    runner.train()
    assert list(tmp_path.glob("best_student_coco_bbox_mAP_iter_*.pth"))
    assert seen == [True, True]


def test_save_best_of_a_metric_that_does_not_say_its_names():
    from types import SimpleNamespace

    from mmengine.hooks import CheckpointHook

    hook = CheckpointHook(save_best="teacher/other/score", rule="greater")
    runner = SimpleNamespace(hooks=[hook])
    check_save_best(runner, ["teacher/other/*"])
    with pytest.raises(ValueError, match=r"teacher/coco/\*"):
        check_save_best(runner, ["teacher/coco/*"])


def test_model_without_semi_test_cfg_settings():
    model = build_semi_model()
    model.semi_test_cfg = None
    with predict_with(model, "student"):
        assert model.semi_test_cfg.predict_on == "student"
    assert model.semi_test_cfg is None
