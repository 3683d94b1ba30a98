import json
import multiprocessing
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmdet.structures import DetDataSample
from mmengine.dist import get_rank
from mmengine.logging import MessageHub
from mmengine.runner import LogProcessor
from mmengine.structures import InstanceData

from ssod_mm.data.loading import LoadImage
from ssod_mm.engine import telemetry_hooks
from ssod_mm.engine.telemetry_hooks import PseudoLabelLogHook, PseudoLabelQualityHook
from ssod_mm.structures import PseudoBoxes, TeachingStep
from tests.engine.semi_runs import runner_of, semi_cfg

CLASSES = ("cat", "dog")
# flipped and twice as large: x' = 200 - 2x, y' = 2y
FLIPPED = np.array([[-2, 0, 200], [0, 2, 0], [0, 0, 1]], dtype=np.float32)


@pytest.fixture
def hidden(tmp_path):
    def ann(number, image_id, box):
        return dict(
            id=number, image_id=image_id, category_id=1, bbox=box, area=1, iscrowd=0
        )

    content = dict(
        images=[
            dict(id=i, file_name=f"{i}.jpg", width=100, height=50) for i in (1, 2, 3)
        ],
        annotations=[ann(1, 1, [10, 10, 20, 20]), ann(2, 2, [50, 10, 20, 20])],
        categories=[dict(id=1, name="cat"), dict(id=2, name="dog")],
    )
    path = tmp_path / "x.1@10-hidden.json"
    path.write_text(json.dumps(content))
    return path


def step_of(**boxes_by_file):
    """A step whose pseudo labels (cats, in flipped views) are given by image file."""
    samples, instances = [], []
    for name, boxes in boxes_by_file.items():
        samples.append(
            DetDataSample(
                metainfo=dict(
                    img_path=f"/data/{name[1:]}.jpg",
                    homography_matrix=FLIPPED,
                    ori_shape=(50, 100),
                    img_shape=(100, 200),
                )
            )
        )
        instances.append(
            InstanceData(
                bboxes=torch.tensor(boxes).float().reshape(-1, 4),
                scores=torch.ones(len(boxes)),
                labels=torch.zeros(len(boxes)).long(),
            )
        )
    images = torch.zeros(len(samples), 3, 100, 200)
    labels = PseudoBoxes(instances)
    return TeachingStep(images, images, samples, samples, labels, labels)


# truth of image 1, x 10..30, seen in its flipped view
RIGHT = [140, 20, 180, 60]
HALF = [140, 20, 180, 40]
WRONG = [0, 0, 20, 20]


def fake_runner(name):
    said, shown = [], {}
    runner = SimpleNamespace(
        model=SimpleNamespace(last_step=None),
        iter=0,
        train_dataloader=SimpleNamespace(
            dataset=SimpleNamespace(metainfo=dict(classes=CLASSES))
        ),
        message_hub=MessageHub(name),
        logger=SimpleNamespace(warning=said.append, info=said.append),
        visualizer=SimpleNamespace(
            add_scalars=lambda scalars, step: shown.update({step: scalars})
        ),
        said=said,
        shown=shown,
    )
    return runner


def play(hook, runner, steps):
    hook.before_train(runner)
    for number, step in enumerate(steps):
        runner.iter, runner.model.last_step = number, step
        hook.after_train_iter(runner, number)
    return {
        key: buffer.data[0].tolist()
        for key, buffer in runner.message_hub.log_scalars.items()
    }


def test_figures_of_an_interval_in_image_coordinates(hidden):
    steps = [
        None,  # burn-in
        step_of(_1=[RIGHT, WRONG], _2=[]),
        step_of(_1=[HALF], _9=[WRONG]),  # image 9 is not in the file
        step_of(_3=[]),  # nothing there, nothing claimed
    ]
    hook = PseudoLabelQualityHook(ann_file=hidden, interval=2, per_class=True)
    runner = fake_runner("figures")
    scalars = play(hook, runner, steps)
    assert scalars == {
        "train/pseudo_precision": [0.5, 1.0],
        "train/pseudo_recall": [0.5, 1.0],
        "train/pseudo_iou": pytest.approx([1.0, 0.5], abs=1e-4),
    }
    assert runner.shown[2]["pseudo_precision/cat"] == 0.5
    assert np.isnan(runner.shown[2]["pseudo_precision/dog"])
    assert not runner.said


def test_iou_threshold(hidden):
    hook = PseudoLabelQualityHook(ann_file=hidden, interval=1, iou_thr=0.6)
    scalars = play(hook, fake_runner("threshold"), [step_of(_1=[HALF])])
    assert scalars["train/pseudo_precision"] == [0.0]
    assert np.isnan(scalars["train/pseudo_iou"]).all()


def test_foreign_images_are_reported_once(hidden):
    hook = PseudoLabelQualityHook(ann_file=hidden, interval=1)
    runner = fake_runner("foreign")
    assert play(hook, runner, [step_of(_8=[RIGHT]), step_of(_9=[RIGHT])]) == {}
    (message,) = runner.said
    assert "x.1@10-hidden.json" in message
    assert "ann_file" in message


def test_silent_in_burn_in_and_told_about_detectors_without_steps(hidden):
    hook = PseudoLabelQualityHook(ann_file=hidden, interval=1)
    runner = fake_runner("burn-in")
    assert play(hook, runner, [None, None]) == {}
    assert runner.said == []
    runner.model = SimpleNamespace()
    hook.before_train(runner)
    assert "keeps no last_step" in runner.said[0]


def test_missing_file_names_the_key(tmp_path):
    hook = PseudoLabelQualityHook(ann_file=tmp_path / "absent.json")
    with pytest.raises(FileNotFoundError, match=r"hidden_ann_file.*absent\.json"):
        hook.before_train(fake_runner("missing"))


@pytest.mark.parametrize("changes", [dict(interval=0), dict(iou_thr=0.0)])
def test_bad_arguments(hidden, changes):
    with pytest.raises(
        ValueError, match=f"PseudoLabelQualityHook.{next(iter(changes))}"
    ):
        PseudoLabelQualityHook(ann_file=hidden, **changes)


def _one_rank(rank, store, hidden, results):
    torch.distributed.init_process_group(
        "gloo",
        store=torch.distributed.FileStore(store, 2),
        rank=rank,
        world_size=2,
    )
    # one process sees three wrong boxes, the other a right one; then one sees nothing
    steps = [
        [step_of(_1=[RIGHT]), step_of(_2=[WRONG])],
        [step_of(_1=[WRONG, WRONG, WRONG]), None],
    ][get_rank()]
    hook = PseudoLabelQualityHook(ann_file=hidden, interval=1)
    results.put(play(hook, fake_runner(f"rank{rank}"), steps))
    torch.distributed.destroy_process_group()


def test_figures_cover_all_processes(hidden, tmp_path):
    context = multiprocessing.get_context("fork")
    results = context.Queue()
    processes = [
        context.Process(
            target=_one_rank, args=(rank, str(tmp_path / "store"), hidden, results)
        )
        for rank in range(2)
    ]
    for process in processes:
        process.start()
    got = [results.get(timeout=60) for _ in processes]
    for process in processes:
        process.join(timeout=60)
    assert got[0]["train/pseudo_precision"] == [0.25, 0.0]
    assert got[0]["train/pseudo_recall"] == [0.5, 0.0]
    assert got[1]["train/pseudo_precision"] == got[0]["train/pseudo_precision"]


def log_runner(processor, outputs=()):
    runner = fake_runner("log")
    runner.log_processor = processor
    for output in outputs:
        for key, value in output.items():
            runner.message_hub.update_scalar(f"train/{key}", value)
    return runner


def test_averages_over_the_window():
    outputs = [dict(pseudo_per_image=value, other=value) for value in (2.0, 4.0, 9.0)]
    processor = LogProcessor(window_size=2, by_epoch=False)
    runner = log_runner(processor, outputs)

    def tags():
        return processor._collect_scalars(processor.custom_cfg, runner, "train")

    assert tags()["pseudo_per_image"] == 9.0  # mmengine alone: the last value
    PseudoLabelLogHook().before_train(runner)
    assert tags()["pseudo_per_image"] == 6.5
    assert tags()["other"] == 9.0


def test_settings_of_the_config_win():
    own = dict(data_src="pseudo_score", method_name="max", window_size=3)
    processor = LogProcessor(by_epoch=False, custom_cfg=[dict(own)])
    hook = PseudoLabelLogHook()
    for _ in range(2):
        hook.before_train(log_runner(processor))
    sources = [cfg["data_src"] for cfg in processor.custom_cfg]
    assert sources == ["pseudo_score", "pseudo_per_image", "pseudo_kept_ratio"]
    assert processor.custom_cfg[0] == own


def test_says_once_what_a_detector_does_not_report():
    hook = PseudoLabelLogHook()
    runner = log_runner(LogProcessor(by_epoch=False))
    for _ in range(2):
        hook.after_train_iter(runner, 0, outputs=dict(pseudo_score=1.0))
    assert runner.said == [
        "The detector reports no pseudo_per_image, pseudo_kept_ratio: "
        "the log goes without."
    ]


def test_skipped_images_are_logged(tmp_path, monkeypatch):
    hook = PseudoLabelLogHook(keys=())
    runner = log_runner(LogProcessor(by_epoch=False))
    monkeypatch.setattr(telemetry_hooks, "num_skipped_images", lambda: 0)
    hook.after_train_iter(runner, 0)
    assert "train/skipped_images" not in runner.message_hub.log_scalars
    monkeypatch.undo()
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"no image")
    assert LoadImage(on_error="skip").transform(dict(img_path=str(broken))) is None
    hook.after_train_iter(runner, 0)
    assert runner.message_hub.get_scalar("train/skipped_images").current() >= 1


def test_every_log_line_of_a_real_run_carries_the_figures(tiny_root, tmp_path):
    hidden = tiny_root / "annotations/instances_train.json"
    cfg = semi_cfg(
        tiny_root,
        tmp_path,
        custom_hooks=[
            dict(type="MeanTeacherEMAHook"),
            dict(type="PseudoLabelLogHook"),
            dict(type="PseudoLabelQualityHook", ann_file=str(hidden), interval=2),
        ],
    )
    runner = runner_of(cfg)
    runner.train()
    (log,) = tmp_path.glob("*/vis_data/scalars.json")
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    lines = [line for line in lines if "loss" in line]
    assert len(lines) == 2
    for line in lines:
        assert {"pseudo_per_image", "pseudo_score", "pseudo_kept_ratio"} <= line.keys()
    assert "pseudo_precision" not in lines[0]
    assert {"pseudo_precision", "pseudo_recall", "pseudo_iou"} <= lines[1].keys()
