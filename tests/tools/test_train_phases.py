"""tools/train_phases.py: the plan of the phases, and one run of both."""

from __future__ import annotations

import subprocess
from argparse import Namespace
from pathlib import Path

import pytest
import torch

from ssod_mm.cli.phases import Phase, plan_phases
from ssod_mm.sweep.targets import load_target
from tests.engine.semi_runs import make_semi_coco
from tests.helpers import tiny_mean_teacher_cfg, tiny_supervised_cfg, write_config
from tests.tools.semi_checkpoints import call_tool

SHAPES = "certainty/certainty_faster-rcnn_r18_shapes.py"
ABLATION = "coco_certainty_ablations:"


def plan(config, **given):
    names = ("fold", "percent", "seed", "work_dir", "cfg_options", "teacher_options")
    names += ("teacher_work_dir", "amp", "auto_scale_lr")
    arguments = Namespace(config=config, **{**dict.fromkeys(names), **given})
    return plan_phases(arguments, load_target(config, arguments.percent))


def options_of(phase: Phase) -> dict[str, str]:
    """What a phase's command line overrides."""
    values = phase.arguments[phase.arguments.index("--cfg-options") + 1 :]
    return dict(value.split("=", 1) for value in values)


def test_both_phases_have_split_seed_and_precision():
    (teacher,), student = plan(SHAPES, fold=3, percent=2.5, seed=7, amp="bf16")
    for phase in (teacher, student):
        text = " ".join(phase.arguments)
        assert "--fold 3 --percent 2.5 --seed 7" in text
        assert "--amp bf16" in text
    assert teacher.work_dir == Path(
        "work_dirs/supervised_faster-rcnn-interval_r18_shapes/fold3-p2.5-seed7"
    )
    assert teacher.checkpoint.name == "iter_1600.pth"
    assert student.work_dir.name == "fold3-p2.5-seed7"


def test_the_student_starts_from_the_teacher():
    (teacher,), student = plan(SHAPES)
    assert options_of(student) == {"continue_from": str(teacher.checkpoint)}
    (teacher,), student = plan(f"{ABLATION}no_dt")
    assert options_of(student) == {"load_from": str(teacher.checkpoint)}


def test_options_of_the_data_go_to_both_and_others_to_one():
    given = {"data_root": "/x", "num_classes": 3, "max_iters": 50}
    folder = "certainty/certainty_faster-rcnn_mnv2_folder.py"
    (teacher,), student = plan(
        folder, cfg_options=given, teacher_options={"max_iters": 20}
    )
    assert options_of(teacher) == dict(data_root="/x", num_classes="3", max_iters="20")
    assert options_of(student)["max_iters"] == "50"
    assert teacher.checkpoint.name == "iter_20.pth"
    assert student.checkpoint.name == "iter_50.pth"
    assert teacher.record["data_root"] == "/x"


def test_a_changed_teacher_has_a_folder_of_its_own():
    (plain,), _ = plan(f"{ABLATION}no_dt")
    (changed,), _ = plan(f"{ABLATION}k08")
    assert options_of(changed)["model.roi_head.bbox_head.num_intervals"] == "8"
    assert (
        changed.work_dir.parent.name == f"{plain.work_dir.parent.name}-num_intervals8"
    )
    (chosen,), _ = plan(f"{ABLATION}k08", teacher_work_dir="mine")
    assert chosen.work_dir == Path("mine")


@pytest.mark.parametrize(("seed", "own"), [(0, 0), (1, 1), (5, 0)])
def test_teachers_of_an_ensemble_differ_in_their_seed(seed, own):
    teachers, student = plan(f"{ABLATION}ensemble", seed=seed)
    assert [teacher.work_dir.name for teacher in teachers] == [
        "fold1-p2-seed0",
        "fold1-p2-seed1",
    ]
    files = [str(teacher.checkpoint) for teacher in teachers]
    assert options_of(student) == {
        "load_from": files[own],
        "model.teachers": f"[{','.join(files)}]",
    }


def test_configs_that_do_not_fit_are_told(tmp_path):
    with pytest.raises(ValueError, match=r"no teacher_config.*tools/train\.py"):
        plan("mean_teacher/mean_teacher_faster-rcnn_r50_coco.py")
    with pytest.raises(ValueError, match=r"num_intervals=9, the student's.*=30"):
        plan(SHAPES, teacher_options={"model.roi_head.bbox_head.num_intervals": 9})
    leaf = tmp_path / "leaf.py"
    base = Path("configs").resolve() / SHAPES
    leaf.write_text(
        f"_base_ = {str(base)!r}\nteacher_config = 'supervised/absent.py'\n"
    )
    with pytest.raises(FileNotFoundError, match="absent"):
        plan(str(leaf))


def test_output_of_another_training_is_refused(tmp_path):
    phase = Phase("teacher", [], tmp_path, 2, dict(data_root="a", fold=1))
    phase.check_record()
    phase.write_record()
    phase.check_record()
    other = Phase("teacher", [], tmp_path, 2, dict(data_root="b", fold=1))
    with pytest.raises(ValueError, match=r"data_root=a, not b.*with --work-dir"):
        other.check_record()


def test_a_changed_student_is_not_taken_for_the_old_one(tmp_path):
    given = {"work_dir": str(tmp_path), "cfg_options": {"model.scales": (1, 2)}}
    (teacher,), student = plan(SHAPES, **given)
    assert teacher.folder_option == "--teacher-work-dir"
    student.write_record()
    student.check_record()
    workers = {"train_dataloader.num_workers": 7}
    given["cfg_options"] = {**given["cfg_options"], **workers}
    plan(SHAPES, **given)[1].check_record()
    given["cfg_options"] = {"model.scales": (1, 3)}
    with pytest.raises(ValueError, match=r"scales=\[1, 2\], not \[1, 3\].*--work-dir"):
        plan(SHAPES, **given)[1].check_record()
    del given["cfg_options"]
    with pytest.raises(ValueError, match=r"model\.scales=\[1, 2\], not None"):
        plan(SHAPES, **given)[1].check_record()
    with pytest.raises(ValueError, match="continue_from"):
        plan(SHAPES, teacher_work_dir="other", work_dir=str(tmp_path))[1].check_record()


@pytest.mark.parametrize("option", [{"amp": "bf16"}, {"auto_scale_lr": False}])
def test_another_precision_or_rate_is_another_training(tmp_path, option):
    folders = {"work_dir": str(tmp_path / "s"), "teacher_work_dir": str(tmp_path / "t")}
    (teacher,), student = plan(SHAPES, **folders)
    (other_teacher,), other_student = plan(SHAPES, **folders, **option)
    (key, value), *_ = option.items()
    for old, new in ((teacher, other_teacher), (student, other_student)):
        old.write_record()
        with pytest.raises(ValueError, match=f"{key}=None, not {value}"):
            new.check_record()
        new.write_record()
        new.check_record()


@pytest.fixture
def configs(tmp_path):
    """A tiny student config that names a tiny teacher config."""
    root = make_semi_coco(tmp_path / "data")
    teacher = write_config(tiny_supervised_cfg(root), tmp_path / "tiny_teacher.py")
    cfg = tiny_mean_teacher_cfg(root)
    cfg["teacher_config"] = str(teacher)
    cfg["custom_hooks"][-1] = dict(type="MeanTeacherEMAHook", teacher="frozen")
    return write_config(cfg, tmp_path / "tiny_student.py")


def test_one_command_trains_both_once(configs, tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    commands = []

    original = subprocess.run

    def train_here(command, **kwargs):
        if "train.py" not in str(command):
            return original(command, **kwargs)
        commands.append(command)
        call_tool("train", *command[2:])
        return subprocess.CompletedProcess(command, 0)

    monkeypatch.setattr(subprocess, "run", train_here)
    call_tool("train_phases", configs, "--seed", 1)
    assert len(commands) == 2
    teacher = tmp_path / "work_dirs/tiny_teacher/seed1/iter_2.pth"
    student = tmp_path / "work_dirs/tiny_student/seed1/iter_2.pth"
    plain, pair = (
        torch.load(path, weights_only=False)["state_dict"]
        for path in (teacher, student)
    )
    key = "roi_head.bbox_head.fc_cls.weight"
    assert torch.equal(pair[f"teacher.{key}"], plain[key])  # frozen
    assert not torch.equal(pair[f"student.{key}"], plain[key])

    call_tool("train_phases", configs, "--seed", 1)
    assert len(commands) == 2  # nothing is left to do
    assert capfd.readouterr().out.count("done") == 2

    key = "model.semi_train_cfg.score_thr"
    with pytest.raises(SystemExit):
        call_tool("train_phases", configs, "--seed", 1, "--cfg-options", f"{key}=0.3")
    assert f"holds a student with {key}=None, not 0.3" in capfd.readouterr().err
    assert len(commands) == 2


def test_an_interrupted_phase_goes_on_and_a_failed_one_ends(
    configs, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    begun = tmp_path / "work_dirs/tiny_teacher/seed0"
    begun.mkdir(parents=True)
    (begun / "iter_1.pth").touch()
    (begun / "last_checkpoint").write_text(str(begun / "iter_1.pth"))
    commands = []

    def fail(command, check):
        commands.append(command)
        return subprocess.CompletedProcess(command, 3)

    monkeypatch.setattr(subprocess, "run", fail)
    with pytest.raises(SystemExit) as caught:
        call_tool("train_phases", configs, "--nproc", 2)
    assert caught.value.code == 3
    (command,) = commands
    assert command[1].endswith("dist_train.sh")
    assert command[3] == "2"
    assert "--resume" in command
