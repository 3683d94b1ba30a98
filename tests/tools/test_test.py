"""tools/test.py: checkpoints and configs of either kind."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.runner import Runner
from torch import nn

from ssod_mm.apis.testing import results_table
from ssod_mm.checkpoints import check_fit, load_weights, weights_for
from ssod_mm.errors import UserError
from tests.helpers import tiny_supervised_cfg, write_config
from tests.tools.semi_checkpoints import call_tool, make_semi_checkpoint


class Pair(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.teacher = nn.Linear(1, 1)
        self.student = nn.Linear(1, 1)


def plain_state(value):
    return dict(weight=torch.full((1, 1), value), bias=torch.full((1,), value))


def pair_state():
    return {
        f"{name}.{key}": tensor
        for name, value in (("teacher", 1.0), ("student", 2.0))
        for key, tensor in plain_state(value).items()
    }


def saved(state, tmp_path):
    path = tmp_path / "weights.pth"
    torch.save(dict(state_dict=state, meta={}), path)
    return path


@pytest.mark.parametrize(("which", "value"), [("teacher", 1.0), ("student", 2.0)])
def test_plain_model_takes_one_of_both(tmp_path, which, value):
    model = nn.Linear(1, 1)
    load_weights(model, saved(pair_state(), tmp_path), which)
    assert model.weight.item() == model.bias.item() == value


def test_both_models_take_a_plain_checkpoint_and_their_own(tmp_path):
    model = Pair()
    load_weights(model, saved(plain_state(3.0), tmp_path), "teacher")
    assert model.teacher.weight.item() == model.student.weight.item() == 3.0
    load_weights(model, saved(pair_state(), tmp_path), "teacher")
    assert (model.teacher.weight.item(), model.student.weight.item()) == (1.0, 2.0)


def test_statistics_of_a_method_are_no_weights(tmp_path):
    """A checkpoint need not know them: they stay as they are, also if it does."""
    model = Pair()
    model.class_balance = nn.BatchNorm1d(2)
    state = {**pair_state(), "class_balance.running_mean": torch.ones(2)}
    for content in (plain_state(3.0), state):
        load_weights(model, saved(content, tmp_path), "teacher")
    assert model.class_balance.running_mean.tolist() == [0.0, 0.0]
    assert model.student.weight.item() == 2.0


def test_wrapped_models_names_and_bare_state_dicts_are_understood():
    state = {f"module.{key}": value for key, value in plain_state(1.0).items()}
    assert set(weights_for(nn.Linear(1, 1), state, "teacher")) == {"weight", "bias"}


def test_weights_of_another_model_are_refused(tmp_path):
    path = saved(plain_state(1.0), tmp_path)
    with pytest.raises(
        ValueError, match=r"2 of 2 weights .* such as 0\.weight, 0\.bias"
    ):
        load_weights(nn.Sequential(nn.Linear(1, 1)), path, "teacher")
    with pytest.raises(ValueError, match=r"1 of 2 weights .* such as weight"):
        load_weights(nn.Linear(5, 1), path, "teacher")
    with pytest.raises(FileNotFoundError, match="there is no checkpoint"):
        load_weights(nn.Linear(1, 1), tmp_path / "absent.pth", "teacher")


@pytest.fixture(scope="module")
def semi(tmp_path_factory):
    """Data, config of a mean teacher, checkpoint in which the two models differ."""
    return make_semi_checkpoint(tmp_path_factory.mktemp("test_tool"))


def results(config, checkpoint, tmp_path, *options):
    out = tmp_path / "results" / "out.json"
    work_dir = ("--work-dir", tmp_path / "work")
    call_tool("test", config, checkpoint, *options, "--out", out, *work_dir)
    return json.loads(out.read_text())


def test_mean_teacher_evaluates_both_or_one(semi, tmp_path):
    _, config, checkpoint = semi
    both = results(config, checkpoint, tmp_path)
    assert {key.split("/")[0] for key in both} == {"teacher", "student"}
    student = results(config, checkpoint, tmp_path, "--which", "student")
    assert student == {k: v for k, v in both.items() if k.startswith("student/")}


def test_plain_config_evaluates_either_model_of_a_mean_teacher(semi, tmp_path, capsys):
    data, _, checkpoint = semi
    config = write_config(tiny_supervised_cfg(data), tmp_path / "plain_of_both.py")
    found = results(config, checkpoint, tmp_path, "--which", "student")
    assert "coco/bbox_mAP" in found
    with pytest.raises(SystemExit):
        call_tool("test", config, checkpoint, "--which", "both")
    assert "which is one model" in capsys.readouterr().err


def test_several_checkpoints_answer_as_one(semi, tmp_path, monkeypatch, capsys):
    _, config, checkpoint = semi
    second = tmp_path / "second.pth"
    content = torch.load(checkpoint, weights_only=False)
    state = content["state_dict"]
    content["state_dict"] = {key: value + 1 for key, value in state.items()}
    torch.save(content, second)
    tested = []
    test = Runner.test
    monkeypatch.setattr(Runner, "test", lambda run: tested.append(run) or test(run))
    found = results(config, checkpoint, tmp_path, second, "--which", "student")
    assert "coco/bbox_mAP" in found
    members = tested[0].model.members
    for number, member in enumerate(members):
        for key, value in member.state_dict().items():
            assert torch.equal(value, state[f"student.{key}"] + number)
    assert len(members) == 2
    with pytest.raises(SystemExit):
        call_tool("test", config, checkpoint, checkpoint, "--which", "both")
    assert "tested as one ensemble" in capsys.readouterr().err


def test_missing_checkpoint_is_one_line(semi, capsys):
    with pytest.raises(SystemExit) as caught:
        call_tool("test", semi[1], "absent.pth")
    assert caught.value.code == 2
    assert capsys.readouterr().err == "error: there is no checkpoint absent.pth\n"


def test_the_config_of_the_run_stays_and_the_table_names_what_was_tested(
    semi, tmp_path, capsys
):
    """A test with other data leaves the run's folder as it was."""
    data, config, checkpoint = semi
    run, other = tmp_path / "run", tmp_path / "other"
    run.mkdir()
    saved_config = shutil.copy(config, run)
    content = Path(saved_config).read_bytes()
    shutil.copytree(data, other)
    stored = Config.fromfile(config)
    path = other / stored.test_dataloader.dataset.ann_file
    truth = json.loads(path.read_text())
    truth["images"] = truth["images"][:1]
    kept = {image["id"] for image in truth["images"]}
    truth["annotations"] = [a for a in truth["annotations"] if a["image_id"] in kept]
    path.write_text(json.dumps(truth))
    moved = [f"test_dataloader.dataset.data_root={other}"]
    if "ann_file" in stored.test_evaluator:
        moved.append(f"test_evaluator.ann_file={path}")
    out = tmp_path / "out.json"
    # Without a name of its own, a test in the same second would share the log.
    moved += ["log_level=INFO", "experiment_name=other_data"]
    words = ("--work-dir", run, "--out", out, "--cfg-options", *moved)
    call_tool("test", saved_config, checkpoint, *words)
    assert Path(saved_config).read_bytes() == content
    (log,) = run.glob("*/*.log")
    text = log.read_text()
    assert f"testing {checkpoint} on {path}, 1 images" in text
    assert "lr " not in text
    (used,) = log.parent.glob("tiny.py")
    assert Config.fromfile(used).test_dataloader.dataset.data_root == str(other)
    ap = 100 * json.loads(out.read_text())["teacher/coco/bbox_mAP"]
    assert f"| teacher, coco | {ap:.1f} |" in capsys.readouterr().out


def test_a_checkpoint_of_other_classes_says_so(semi, tmp_path, capsys):
    _, config, checkpoint = semi
    content = torch.load(checkpoint, weights_only=False)
    content["meta"]["dataset_meta"]["classes"] = ("class_0", "class_1", "whale")
    torch.save(content, tmp_path / "whales.pth")
    words = ("--work-dir", tmp_path / "work")
    with pytest.raises(SystemExit):
        call_tool("test", config, tmp_path / "whales.pth", *words)
    message = capsys.readouterr().err.splitlines()[-1]
    assert "whale is missing" in message
    assert "whales.pth has class_0, class_1, whale" in message


def test_a_checkpoint_of_another_number_of_classes_says_so(semi, tmp_path, capsys):
    """Its weights have other shapes, so it is told when they are loaded."""
    _, config, checkpoint = semi
    content = torch.load(checkpoint, weights_only=False)
    content["meta"]["dataset_meta"]["classes"] = ("class_0", "class_1")
    for key, value in content["state_dict"].items():
        if "fc_cls" in key:
            content["state_dict"][key] = value[:-1]
    torch.save(content, tmp_path / "two.pth")
    with pytest.raises(SystemExit):
        call_tool("test", config, tmp_path / "two.pth", "--work-dir", tmp_path / "w")
    message = capsys.readouterr().err.splitlines()[-1]
    assert "does not fit the config's model" in message
    assert "it was trained on 2 classes (class_0, class_1)" in message


def test_classes_are_named_only_where_a_shape_differs():
    wanted, classes = plain_state(1.0), tuple("abcdefg")
    given = {**wanted, "bias": torch.zeros(3)}
    with pytest.raises(
        UserError, match=r"on 7 classes \(a, b, c, d, e, \.\.\.\); do x"
    ):
        check_fit(wanted, given, "x.pth", "; do x", classes)
    for missing, known in (({}, classes), (given, None)):
        with pytest.raises(UserError) as caught:
            check_fit(wanted, missing, "x.pth", "; do x", known)
        assert "trained on" not in str(caught.value)


def test_results_are_a_table_of_models_and_rules():
    results = {
        "teacher/coco/bbox_mAP": 0.125,
        "teacher/coco/bbox_mAP_50": 0.5,
        "student/coco/bbox_mAP": 0.25,
        "student/coco/bbox_mAP_s": 0.9,
    }
    lines = [line for line in results_table(results, "x").splitlines() if "|" in line]
    assert [[c.strip() for c in line.strip("|").split("|")] for line in lines] == [
        ["", "AP", "AP50", "AP75"],
        ["teacher, coco", "12.5", "50.0", "-"],
        ["student, coco", "25.0", "-", "-"],
    ]
    assert results_table({"loss": 1.0}, "x") == ""
