"""Thresholds and weights per class: logged in a run, drawn from its log."""

from __future__ import annotations

from types import SimpleNamespace

import cv2
import pytest

from ssod_mm.engine import ClassBalanceLogHook
from ssod_mm.models import ClassBalance
from ssod_mm.reporting.class_balance import (
    balance_rows,
    class_trajectories,
    extremes,
)
from ssod_mm.reporting.scalars import RunScalars, read_scalars
from tests.engine.semi_runs import make_semi_coco, runner_of, semi_cfg
from tests.tools.semi_checkpoints import call_tool


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Three iterations with a class balance, and its final state."""
    folder = tmp_path_factory.mktemp("balance")
    cfg = semi_cfg(make_semi_coco(folder / "data"), folder / "work", max_iters=3)
    cfg.model.class_balance = dict(type="ClassBalance", use_loc=False, clip=(0, 1))
    cfg.custom_hooks.append(dict(type="ClassBalanceLogHook", interval=3))
    runner = runner_of(cfg)
    runner.train()
    return folder / "work", runner.model.class_balance


def test_every_class_is_logged_by_name(run):
    work_dir, balance = run
    scalars = read_scalars(work_dir)
    assert balance.counts.sum() > 0
    columns = {
        "class_threshold": balance.thresholds(),
        "class_weight": balance.weights(),
        "class_count": balance.counts,
    }
    for key, column in columns.items():
        for number in range(3):
            series = scalars.get(f"{key}/class_{number}")
            assert [step for step, _ in series] == [1, 3]
            assert series[-1][1] == pytest.approx(column[number].item(), rel=1e-5)


def test_a_log_line_has_the_mean_weight_thresholds_and_momentum(run):
    work_dir, balance = run
    scalars = read_scalars(work_dir)
    expected = {
        "class_weight_mean": balance.weights().mean(),
        "class_threshold_min": balance.thresholds().min(),
        "class_threshold_max": balance.thresholds().max(),
    }
    for key, value in expected.items():
        assert scalars.get(key)[-1] == (3, pytest.approx(value.item(), rel=1e-5)), key
    # the warm-up's 1 - 1 / (iteration + 1) in the third iteration
    assert scalars.get("ema_momentum")[-1] == (3, pytest.approx(2 / 3))


def test_tool_draws_the_run(run, tmp_path, capsys):
    out = tmp_path / "balance.png"
    call_tool("plot_class_balance", run[0], "--out", out)
    assert cv2.imread(str(out)).std() > 0
    assert "class_2" in capsys.readouterr().out
    assert "| class_2 |" in out.with_suffix(".md").read_text()
    with pytest.raises(SystemExit):
        call_tool("plot_class_balance", run[0], "--out", out, "--classes", "dragon")
    assert "no such class" in capsys.readouterr().err


def trajectories():
    series = {}
    for name, count in (("rare", 2.0), ("common", 50.0), ("usual", 20.0)):
        series[f"class_threshold/{name}"] = [(1, 0.7), (9, 0.5)]
        series[f"class_weight/{name}"] = [(1, 1.0), (9, 2.0)]
        series[f"class_count/{name}"] = [(1, 0.0), (9, count)]
    return class_trajectories(RunScalars(series))


def test_classes_come_by_their_number_of_detections():
    classes = trajectories()
    assert [trajectory.name for trajectory in classes] == ["common", "usual", "rare"]
    assert [trajectory.name for trajectory in extremes(classes, 1)] == [
        "common",
        "rare",
    ]
    assert len(extremes(classes, 2)) == 3
    assert balance_rows(classes)[1] == [
        "common",
        "50",
        "0.700 -> 0.500",
        "1.000 -> 2.000",
    ]


def test_a_run_without_class_balance_is_told():
    with pytest.raises(ValueError, match="ClassBalanceLogHook"):
        class_trajectories(RunScalars({"loss": [(1, 1.0)]}))


def fake_runner(balance, classes):
    said = []
    dataset = SimpleNamespace(metainfo=dict(classes=classes))
    return SimpleNamespace(
        iter=0,
        model=SimpleNamespace(class_balance=balance),
        train_dataloader=SimpleNamespace(dataset=dataset),
        logger=SimpleNamespace(warning=said.append),
        said=said,
    )


def test_hook_without_class_balance_warns_and_rests():
    runner = fake_runner(None, ("a",))
    hook = ClassBalanceLogHook()
    hook.before_train(runner)
    hook.after_train_iter(runner, 0)
    assert "model.class_balance" in runner.said[0]


def test_other_number_of_classes_is_refused():
    with pytest.raises(ValueError, match=r"3 classes.*has 2"):
        ClassBalanceLogHook().before_train(fake_runner(ClassBalance(3), ("a", "b")))
    with pytest.raises(ValueError, match="interval=0"):
        ClassBalanceLogHook(interval=0)
