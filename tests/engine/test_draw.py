from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import torch
from mmdet.models.data_preprocessors import DetDataPreprocessor

from ssod_mm.engine import draw_hook
from ssod_mm.engine.draw_hook import DrawPseudoLabelsHook
from ssod_mm.evaluation.drawing import PSEUDO_COLOUR, TRUTH_COLOUR
from tests.engine.semi_runs import runner_of, semi_cfg
from tests.engine.test_telemetry import RIGHT, fake_runner, hidden, step_of  # noqa: F401


def has_colour(picture, colour):
    return (picture == np.array(colour)).all(-1).any()


@pytest.fixture
def runner(tmp_path):
    runner = fake_runner("draw")
    runner.work_dir = str(tmp_path)
    runner.model.data_preprocessor = DetDataPreprocessor(
        mean=[0.0] * 3, std=[1.0] * 3, bgr_to_rgb=True
    )
    runner.images = {}
    runner.visualizer = SimpleNamespace(
        add_image=lambda name, image, step: runner.images.update({(name, step): image})
    )
    return runner


def draw(hook, runner, iteration, step):
    runner.iter, runner.model.last_step = iteration, step
    hook.after_train_iter(runner, iteration)


def test_weak_beside_strong_with_truth_in_its_own_colour(
    runner,
    hidden,  # noqa: F811
    tmp_path,
):
    hook = DrawPseudoLabelsHook(interval=5, num_images=2, ann_file=hidden)
    hook.before_train(runner)
    step = step_of(_1=[RIGHT], _2=[], _3=[RIGHT])
    draw(hook, runner, 3, step)
    assert not (tmp_path / "pseudo_labels").exists()
    draw(hook, runner, 4, step)
    picture = cv2.imread(str(tmp_path / "pseudo_labels/iter_000005.png"))[..., ::-1]
    assert (picture == runner.images["pseudo_labels", 5]).all()
    # views of 100 x 200 pixels, three times enlarged, under a title of 20 pixels
    height, width = 20 + 300, 600
    assert picture.shape == (2 * height + 6, 2 * width + 6, 3)
    first, second = picture[:height], picture[height + 6 :]
    for view in (first[:, :width], first[:, width + 6 :]):
        assert has_colour(view, PSEUDO_COLOUR)
        assert has_colour(view, TRUTH_COLOUR)
    assert not has_colour(second, PSEUDO_COLOUR)
    assert has_colour(second, TRUTH_COLOUR)
    # the box stands where it is in the view: left side at x = 140
    assert tuple(picture[20 + 120, 140 * 3]) == PSEUDO_COLOUR


def test_without_truth_and_with_fewer_images_than_asked_for(runner, tmp_path):
    hook = DrawPseudoLabelsHook(interval=1, num_images=4)
    hook.before_train(runner)
    draw(hook, runner, 0, step_of(_1=[RIGHT]))
    (path,) = (tmp_path / "pseudo_labels").iterdir()
    picture = cv2.imread(str(path))[..., ::-1]
    assert picture.shape[0] == 320
    assert has_colour(picture, PSEUDO_COLOUR)
    assert not has_colour(picture, TRUTH_COLOUR)


def test_no_picture_in_burn_in_nor_on_other_processes(runner, tmp_path, monkeypatch):
    hook = DrawPseudoLabelsHook(interval=1)
    hook.before_train(runner)
    draw(hook, runner, 0, None)
    monkeypatch.setattr("mmengine.dist.utils.get_rank", lambda group=None: 1)
    draw(hook, runner, 0, step_of(_1=[RIGHT]))
    assert not (tmp_path / "pseudo_labels").exists()
    monkeypatch.undo()
    draw(hook, runner, 0, step_of(_1=[RIGHT]))
    assert (tmp_path / "pseudo_labels").exists()


@pytest.mark.parametrize("changes", [dict(interval=0), dict(num_images=0)])
def test_bad_arguments(changes):
    with pytest.raises(ValueError, match=f"DrawPseudoLabelsHook.{next(iter(changes))}"):
        DrawPseudoLabelsHook(**changes)


def test_missing_truth_names_the_key(runner):
    hook = DrawPseudoLabelsHook(ann_file="absent.json")
    with pytest.raises(FileNotFoundError, match=r"DrawPseudoLabelsHook.*absent\.json"):
        hook.before_train(runner)


def test_in_a_real_run_the_views_show_the_unlabelled_image(tiny_root, tmp_path):
    cfg = semi_cfg(
        tiny_root,
        tmp_path,
        max_iters=1,
        custom_hooks=[dict(type="DrawPseudoLabelsHook", interval=1, num_images=1)],
    )
    cfg.model.semi_train_cfg.score_thr = 1.0  # no box in the way
    runner = runner_of(cfg)
    runner.train()
    picture = cv2.imread(str(tmp_path / "pseudo_labels/iter_000001.png"))
    path = runner.model.last_step.samples_weak[0].img_path
    image = draw_hook.enlarged(cv2.imread(path), 4)
    height, width = image.shape[:2]
    assert picture.shape == (20 + height, 2 * width + 6, 3)
    # the weak view of this run is flipped, the strong one is plain
    strong = picture[20:, -width:].astype(float)
    weak = picture[20:, :width].astype(float)
    assert np.abs(strong - image).mean() < 1
    assert np.abs(weak[:, ::-1] - image).mean() < 1
    assert torch.is_tensor(runner.model.last_step.inputs_weak)


def test_images_are_asked_for_where_they_are_drawn(runner):
    asked = []
    hooks = [DrawPseudoLabelsHook(interval=interval) for interval in (2, 3)]
    for runner.iter in range(6):
        runner.model.keeps_images = False
        for hook in hooks:
            hook.before_train_iter(runner, runner.iter)
        asked.append(runner.model.keeps_images)
    assert asked == [False, True, True, True, False, True]
