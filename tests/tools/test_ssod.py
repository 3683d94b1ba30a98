"""The command ssod: its subcommands, their help, and what it loads."""

from __future__ import annotations

import argparse
import json
import os
import re
import runpy
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from ssod_mm.apis.folder_training import (
    folder_row,
    labelled_boxes,
    plan_folder,
    train_folder,
)
from ssod_mm.apis.step_variants import VARIANTS
from ssod_mm.cli import main as ssod
from ssod_mm.cli.own_data import choose_detector, read_own_data
from ssod_mm.cli.tool_files import tools_folder
from ssod_mm.errors import UserError
from ssod_mm.reporting.records import RunRecord
from ssod_mm.sweep.spec import load_sweep
from tests.data.coco_files import coco_document
from tests.formats.folders import write_yolo
from tests.helpers import make_tiny_coco, tiny_supervised_cfg, write_config

ROOT = Path(__file__).resolve().parents[2]
COMMANDS = [
    name
    for name, tool in ssod.COMMANDS.items()
    if (tools_folder() / f"{tool}.py").is_file()
]
NOT_COMMANDS = {"profile_gpu"}  # a script of one measurement
TOOLS = sorted({path.stem for path in tools_folder().glob("*.py")} - NOT_COMMANDS)
HEAVY = {"torch", "mmcv", "mmdet", "cv2", "scipy", "matplotlib"}


def modules_after(code, *words, cwd=None):
    """What a fresh interpreter has loaded after some code, and what it printed."""
    report = (
        "import atexit, sys\n"
        "atexit.register(lambda: print('LOADED', *sys.modules, file=sys.stderr))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", report + code, *map(str, words)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        cwd=cwd,
        env={"PYTHONPATH": str(ROOT)},
    )
    assert done.returncode == 0, done.stderr
    said, loaded = done.stderr.rsplit("LOADED", 1)
    return {name.split(".")[0] for name in loaded.split()}, done.stdout + said


@pytest.mark.parametrize("name", COMMANDS)
def test_help_loads_no_library(name, tmp_path):
    code = "from ssod_mm.cli.main import main; main()"
    loaded, said = modules_after(code, name, "--help", cwd=tmp_path)
    assert f"usage: ssod {name}" in said
    assert not loaded & (HEAVY | {"mmengine", "numpy"})


def test_configs_and_calls_load_no_torch(tmp_path):
    data = make_tiny_coco(tmp_path / "data", 2)
    config = write_config(tiny_supervised_cfg(data), tmp_path / "tiny.py")
    code = (
        "import sys\n"
        "from ssod_mm.apis import export, predict, sweep, test, train\n"
        "from ssod_mm.apis.training import training_config\n"
        "cfg = training_config(sys.argv[1], seed=3, check_files=())\n"
        "print(cfg.pretty_text)"
    )
    loaded, said = modules_after(code, config)
    assert "seed = 3" in said
    assert not loaded & HEAVY
    code = "from ssod_mm.cli.main import main; main()"
    loaded, said = modules_after(code, "print-config", config, cwd=tmp_path)
    assert "train_dataloader" in said
    assert not loaded & HEAVY


def test_what_the_set_up_tells_to_do_while_it_compiles_needs_no_mmcv(tmp_path):
    """Each command that it prints, with a YOLO folder; the documents are there."""
    script = (tools_folder() / "setup_env.sh").read_text()
    start = script.index("meanwhile, in another terminal")
    lines = script[start : script.index("headers=", start)].splitlines()
    commands = [shlex.split(x)[1] for x in lines if "$venv/bin/ssod" in x]
    named = re.findall(r"docs/\S+?\.md", script[start:])
    assert all((ROOT / name).is_file() for name in named)
    assert len(commands) == 2
    assert len(named) == 2
    write_yolo(tmp_path / "mine")
    code = "from ssod_mm.cli.main import main; main()"
    for command in commands:
        words = command.replace("FOLDER", str(tmp_path / "mine")).split()[1:]
        loaded, said = modules_after(code, *words, cwd=tmp_path)
        assert not loaded & HEAVY
        assert "in order" in said or "max_iters" in said


def test_a_plan_of_a_sweep_loads_no_torch():
    code = (
        "from ssod_mm.sweep.plan import plan_sweep\n"
        "from ssod_mm.sweep.spec import load_sweep\n"
        "print(len(plan_sweep(load_sweep('shapes').select(['supervised'])).stages))"
    )
    loaded, said = modules_after(code)
    assert int(said.split()[-1]) >= 1
    assert not loaded & HEAVY


class ParsedError(Exception):
    """Carries a parser."""


@pytest.mark.parametrize("name", TOOLS)
def test_every_option_has_a_help_that_says_its_default(name, monkeypatch):
    def stop(parser, *_):
        raise ParsedError(parser)

    monkeypatch.setattr(argparse.ArgumentParser, "parse_args", stop)
    monkeypatch.setattr(sys, "path", [str(tools_folder()), *sys.path])
    path = str(tools_folder() / f"{name}.py")
    with pytest.raises(ParsedError) as caught:
        runpy.run_path(path, run_name="__main__")
    parser = caught.value.args[0]
    formatter = parser._get_formatter()
    groups = {
        action: group.title or ""
        for group in parser._action_groups
        for action in group._group_actions
    }
    either_or = [
        action
        for group in parser._mutually_exclusive_groups
        for action in group._group_actions
        if group.required
    ]
    for action in parser._actions:
        is_needed = action.required or action in either_or
        if not action.option_strings or is_needed:
            continue
        if argparse.SUPPRESS in (action.help, action.default):
            continue
        assert action.help, action.option_strings
        text = formatter._expand_help(action) + groups[action]
        assert "default" in text, action.option_strings


def test_the_variants_of_a_profile():
    """The tool writes them out, since what times them loads torch."""
    tool = runpy.run_path(str(tools_folder() / "profile_step.py"))
    assert tool["VARIANTS"] == VARIANTS


def test_the_list_of_commands(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["ssod"])
    monkeypatch.setattr("os.environ", {})
    ssod.main()
    assert os.environ["PYTHON"] == sys.executable  # for dist_train.sh
    usage, _, listed = capsys.readouterr().out.partition("\n\n")
    examples = [line.split() for line in usage.splitlines()[1:]]
    assert all(words[:1] == ["ssod"] and words[1] in COMMANDS for words in examples)
    assert len(examples) == 3
    lines = listed.splitlines()
    assert [line.split()[0] for line in lines] == COMMANDS
    assert all(len(line.split()) > 3 for line in lines)


@pytest.mark.parametrize(
    ("word", "hint"), [("trian", "did you mean train?"), ("xyz", "there are train,")]
)
def test_an_unknown_command_is_one_line(monkeypatch, capsys, word, hint):
    monkeypatch.setattr(sys, "argv", ["ssod", word])
    with pytest.raises(SystemExit) as caught:
        ssod.main()
    assert caught.value.code == 2
    assert hint in capsys.readouterr().err


# --- train on a folder ----------------------------------------------------------------


@pytest.fixture
def data(tmp_path):
    """A folder in the layout of own data, without pixels."""
    root = tmp_path / "mine"
    for part in ("train", "val"):
        (root / part).mkdir(parents=True)
        path = root / "annotations" / f"instances_{part}.json"
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(coco_document()))
    return root


def options_of(phase):
    words = phase.arguments[phase.arguments.index("--cfg-options") + 1 :]
    return dict(word.split("=", 1) for word in words)


METHODS = [row.key for row in load_sweep("folder").rows if row.of is None]


@pytest.mark.parametrize("method", METHODS)
def test_every_method_of_the_sweep_trains_on_a_folder(data, method):
    phases, split = plan_folder(read_own_data(data), method, percent=20, fold=2)
    assert split == (2, 20)
    for phase in phases:
        assert options_of(phase)["data_root"] == str(data)
        assert phase.arguments[1:5] == ["--fold", "2", "--percent", "20"]
        assert phase.work_dir.parts[:2] == ("work_dirs", "mine")
        assert phase.work_dir.name == "fold2-p20-seed0"
    assert len(phases) == (1 if method.startswith("supervised") else 2)


def test_a_student_starts_from_its_teacher_and_the_user_has_the_last_word(data):
    given = dict(cfg_options={"max_iters": 7}, work_dir="out", pretrained="w.pth")
    (teacher, student), _ = plan_folder(read_own_data(data), "mean_teacher", **given)
    assert options_of(student)["continue_from"] == str(teacher.checkpoint)
    assert student.checkpoint == Path("out/iter_7.pth")
    row, _ = folder_row("mean_teacher")
    assert teacher.max_iters == row.teacher_options["max_iters"]
    assert options_of(teacher)["pretrained"] == "w.pth"


@pytest.mark.parametrize(
    ("method", "options", "words"),
    [
        ("nothing", {}, "--method nothing is none of supervised"),
        ("dtg", dict(percent=100), "--unlabelled, or take --method supervised"),
        ("supervised", dict(unlabelled="."), "needs a method with a teacher"),
        ("dtg", dict(unlabelled=".", percent=10), "and no --percent"),
        ("dtg", dict(detector="nothing"), "is none of the detectors that dtg has"),
        ("dtg", dict(detector="rtmdet"), "detectors that dtg has on a folder: faster"),
        ("dtg", dict(iters=(0, 5)), "each at least 1"),
        (
            "mean_teacher",
            dict(detector="yolox", pretrained="w.pth"),
            "--pretrained w.pth: no part of .*yolox_s_folder.py loads",
        ),
    ],
)
def test_what_does_not_fit_is_told(data, method, options, words):
    with pytest.raises(UserError, match=words):
        plan_folder(read_own_data(data), method, **options)


def test_a_missing_folder_of_images_is_told(data):
    with pytest.raises(FileNotFoundError, match=r"nowhere \(--unlabelled\)"):
        plan_folder(read_own_data(data), "dtg", unlabelled="nowhere")


def test_a_check_of_files_writes_nothing(data, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    said = []
    before = sorted(tmp_path.rglob("*"))
    assert train_folder(data, "dtg", said.append, check=True, only_files=True) == 0
    assert "instances_train.1@10.json: training makes it" in said[0]
    assert sorted(tmp_path.rglob("*")) == before


def test_a_check_of_all_makes_the_split_and_checks_each_phase(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    root = make_tiny_coco(tmp_path / "tiny", 4)
    commands = []
    start = subprocess.run

    def run(command, **options):
        if command[1].endswith("make_splits.py"):
            return start(command, **options, env={"PYTHONPATH": str(ROOT)})
        commands.append(command)
        return subprocess.CompletedProcess(command, 0)

    monkeypatch.setattr(subprocess, "run", run)
    said = []
    options = dict(check=True, percent=50)
    assert train_folder(root, "mean_teacher", said.append, **options) == 0
    assert (root / "annotations/semi/instances_train.1@50.json").is_file()
    assert [command[3] for command in commands] == ["--check", "--check"]
    assert commands[1][4] == "--before-first-phase"
    assert "checkpoint" not in said[-1]
    commands.clear()
    assert train_folder(root, "dtg", said.append, only_files=True, **options) == 0
    assert [command[3] for command in commands] == ["--check-files"] * 2


def test_detectors_are_named_by_their_beginning():
    names = {"faster-rcnn_mnv2": "a", "faster-rcnn-interval_mnv2": "b", "detr_r18": "c"}
    assert choose_detector("dtg", names, "faster-rcnn") == "a"
    assert choose_detector("dtg", names, "faster-rcnn-interval_mnv2") == "b"
    assert choose_detector("dtg", names, "detr") == "c"
    with pytest.raises(UserError, match=r"faster stands for several.*: faster-rcnn_m"):
        choose_detector("dtg", names, "faster")
    with pytest.raises(UserError, match="yolo is none"):
        choose_detector("dtg", names, "yolo")


@pytest.mark.parametrize("detector", ["rtmdet", "yolox"])
def test_one_stage_detectors_train_on_a_folder(data, detector):
    method = "mean_teacher"
    phases, _ = plan_folder(read_own_data(data), method, detector=detector)
    names = [Path(phase.arguments[0]).stem for phase in phases]
    assert names == [
        f"supervised_{detector}_s_folder",
        f"mean_teacher_{detector}_s_folder",
    ]
    assert options_of(phases[1])["continue_from"] == str(phases[0].checkpoint)
    (alone,), _ = plan_folder(read_own_data(data), "supervised", detector=detector)
    assert Path(alone.arguments[0]).stem == names[0]


def test_the_row_says_the_config():
    row, config = folder_row("dtg")
    assert (row.key, config) == ("dtg", row.config)


def test_a_folder_trains_a_split_a_teacher_and_a_student(tmp_path, monkeypatch):
    """The commands that a folder leads to, in their order; only the split is run."""
    monkeypatch.chdir(tmp_path)
    root = make_tiny_coco(tmp_path / "tiny", 4)
    commands = []
    start = subprocess.run

    def run(command, **options):
        commands.append(command)
        if "--work-dir" not in command:
            return start(command, **options, env={"PYTHONPATH": str(ROOT)})
        folder = Path(command[command.index("--work-dir") + 1])
        is_last = "continue_from" in str(command)
        (folder / f"iter_{7 if is_last else 5}.pth").touch()
        models = {"student/": 0.2, "teacher/": 0.25} if is_last else {"": 0.125}
        metrics = {f"{m}coco/bbox_mAP": [(5, ap)] for m, ap in models.items()}
        record = RunRecord("tiny", metrics=metrics)
        record.write(folder / "record.json")
        return subprocess.CompletedProcess(command, 0)

    monkeypatch.setattr(subprocess, "run", run)
    said = []
    code = train_folder(root, "mean_teacher", said.append, percent=50, iters=(5, 7))
    assert code == 0
    names = [Path(command[1]).name for command in commands]
    assert names == ["make_splits.py", "train.py", "train.py"]
    boxes = json.loads(
        (root / "annotations/semi/instances_train.1@50.json").read_text()
    )
    number = sum(a["category_id"] == 1 for a in boxes["annotations"])
    assert said[1].startswith(f"2 labelled images with boxes of class_0 {number}, ")
    assert (
        sum(text.count("\n") + 1 for text in said[:-3]) <= 5
    )  # before what is trained
    cells = [
        line.strip("|").split("|") for line in said[-3].splitlines() if "|" in line
    ]
    table = [[cell.strip() for cell in row] for row in cells]
    assert table == [
        ["", "AP", "AP50", "AP75"],
        ["teacher (seed 0), 5 iterations", "12.5", "-", "-"],
        ["mean_teacher, 7 iterations: student", "20.0", "-", "-"],
        ["mean_teacher, 7 iterations: teacher", "25.0", "-", "-"],
    ]
    assert said[-2].endswith("fold1-p50-seed0/iter_7.pth")
    assert "ssod predict work_dirs/tiny/mean_teacher_faster-rcnn_mnv2" in said[-1]


def test_a_split_in_which_a_class_has_no_box_says_so(tmp_path):
    split = dict(
        images=[dict(id=1)],
        categories=[dict(id=1, name="crab"), dict(id=2, name="eel")],
        annotations=[dict(category_id=2)] * 3,
    )
    path = tmp_path / "split.json"
    path.write_text(json.dumps(split))
    said = labelled_boxes(path)
    assert said.startswith("1 labelled images with boxes of crab 0, eel 3; a class")
    assert said.endswith("take more --percent or another --fold")
    split["annotations"].append(dict(category_id=1))
    path.write_text(json.dumps(split))
    assert labelled_boxes(path).endswith("of crab 1, eel 3")
