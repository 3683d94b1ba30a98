"""The demo: what it plans, what it refuses, and one real run of its main path."""

from __future__ import annotations

import json
import runpy
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from ssod_mm.apis import demo as demo_module
from ssod_mm.sweep.plan import plan_sweep
from ssod_mm.sweep.spec import parse_sweep
from tests.helpers import (
    make_tiny_coco,
    tiny_mean_teacher_cfg,
    tiny_supervised_cfg,
    write_config,
)

ROOT = Path(__file__).resolve().parents[2]
TOOL = runpy.run_path(str(ROOT / "tools" / "demo.py"))


@pytest.fixture
def demo():
    return demo_module


@pytest.fixture(autouse=True)
def no_variables(monkeypatch):
    for name in ("DATA_ROOT", "NUM_CLASSES", "PRETRAINED"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "-1")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return make_tiny_coco(tmp_path_factory.mktemp("data") / "fishes", 8)


def asked(demo, monkeypatch, *words):
    monkeypatch.setattr(sys, "argv", ["demo.py", *map(str, words)])
    return demo.make_demo(TOOL["parse_arguments"]())


def keys(found):
    return [row.key for row in found.sweep.rows]


def test_the_shapes_have_all_rows_on_one_split(demo, monkeypatch):
    found = asked(demo, monkeypatch, "--fold", 2, "--seed", 3)
    assert keys(found) == ["supervised", "mean_teacher", "certainty", "lerprc", "dtg"]
    assert (found.sweep.folds, found.sweep.seeds) == ((2,), (3,))
    assert found.data_root == Path("data/shapes")
    assert found.sweep.title == "Embedded shapes, 5 % labels, fold 2"


def test_the_shapes_are_the_shipped_sweep(demo, monkeypatch):
    ours = plan_sweep(asked(demo, monkeypatch, "--rows", "mean_teacher").sweep)
    shipped = plan_sweep(demo.load_sweep("shapes").select(["mean_teacher"]))
    assert list(ours.stages) == list(shipped.stages)


def test_own_data_is_an_option_of_every_training(demo, monkeypatch, data):
    given = ("--data", data, "--percent", "50")
    named = asked(demo, monkeypatch, *given, "--pretrained", "mine.pth")
    assert named.sweep.rows[0].options["pretrained"] == "mine.pth"
    monkeypatch.setenv("PRETRAINED", "weights.pth")
    found = asked(demo, monkeypatch, *given)
    assert keys(found) == ["supervised", "mean_teacher"]
    assert found.sweep.title == "fishes, 50 % labels, fold 1"
    assert found.sweep.amp == "bf16"
    for row in found.sweep.rows:
        for options in (row.options, row.teacher_options):
            assert options["data_root"] == str(data)
            assert options["pretrained"] == "weights.pth"
    lengths = [stage.max_iters for stage in plan_sweep(found.sweep).stages.values()]
    assert lengths == [1600, 1000, 1000]


def test_rows_and_lengths_can_be_chosen(demo, monkeypatch, data):
    everything = asked(demo, monkeypatch, "--data", data, "--rows", "all")
    assert len(keys(everything)) > 5
    words = ("--rows", "supervised", "dtg", "--iters", 7, 3)
    plan = plan_sweep(asked(demo, monkeypatch, *words).sweep)
    assert {stage.max_iters for stage in plan.stages.values() if stage.teachers} == {3}
    assert [s.max_iters for s in plan.stages.values() if not s.teachers] == [7, 7]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--rows", "dgt"], "no row dgt; supervised, mean_teacher, certainty"),
        (["--pretrained", "mobilenet_v2"], "--pretrained is for --data"),
        (["--iters", "0", "5"], r"--iters \[0, 5\]: at least 1"),
    ],
)
def test_mistakes_are_named(demo, monkeypatch, words, message):
    with pytest.raises(ValueError, match=message):
        asked(demo, monkeypatch, *words)


def test_a_folder_that_lacks_something(demo, monkeypatch, tmp_path):
    root = make_tiny_coco(tmp_path / "data", 2)
    (root / "val").rename(root / "valid")
    with pytest.raises(FileNotFoundError, match=r"no folder .*val\. DATA must hold"):
        asked(demo, monkeypatch, "--data", root)
    (root / "annotations" / "instances_val.json").unlink()
    with pytest.raises(FileNotFoundError, match=r"no annotation file .*instances_val"):
        asked(demo, monkeypatch, "--data", root)


@pytest.mark.parametrize("text", ["{", "[]", "{}"])
def test_a_json_that_is_not_coco(demo, monkeypatch, tmp_path, text):
    root = make_tiny_coco(tmp_path / "data", 2)
    (root / "annotations" / "instances_train.json").write_text(text)
    with pytest.raises(ValueError, match="is no COCO json with categories"):
        asked(demo, monkeypatch, "--data", root)


def test_only_what_is_missing_is_prepared(demo, monkeypatch, tmp_path):
    calls = []
    monkeypatch.setattr(demo, "call_tool", lambda *words: calls.append(words))
    found = SimpleNamespace(
        is_embedded=True, data_root=tmp_path, fold=2, percent=2.5, sweep=None
    )
    demo.prepare_data(found)
    ann_file = tmp_path / "annotations" / "instances_train.json"
    semi = tmp_path / "annotations" / "semi"
    assert calls == [
        ("make_shapes", "--out", tmp_path),
        (
            "make_splits",
            "--ann",
            ann_file,
            "--out",
            semi,
            "--percent",
            2.5,
            "--fold",
            2,
        ),
    ]
    semi.mkdir(parents=True)
    (semi / "instances_train.2@2.5.json").touch()
    found.is_embedded = False
    demo.prepare_data(found)
    assert len(calls) == 2


def test_two_trainings_at_a_time_with_two_cores(demo, monkeypatch):
    monkeypatch.setattr("os.cpu_count", lambda: 16)
    slots = demo.demo_slots(None)
    assert len(slots) == 2
    assert slots[0].environment["OMP_NUM_THREADS"] == "1"
    assert len(demo.demo_slots(5)) == 5
    monkeypatch.setattr("os.cpu_count", lambda: 1)
    assert len(demo.demo_slots(None)) == 1
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,4,7")
    assert [slot.name for slot in demo.demo_slots(None)] == ["GPU 3", "GPU 4", "GPU 7"]


def tiny_config(cfg, path):
    """A config file whose length is the option ``max_iters``."""
    cfg["val_cfg"] = dict(
        type="BothModelsValLoop" if "MeanTeacher" in str(cfg["model"]) else "ValLoop"
    )
    cfg["val_dataloader"] = cfg["test_dataloader"]
    cfg["val_evaluator"] = dict(cfg["test_evaluator"], type="FastCocoMetric")
    cfg["custom_imports"]["imports"].append("ssod_mm.evaluation")
    cfg["custom_hooks"].append(dict(type="RunRecordHook"))
    del cfg["train_cfg"]["max_iters"]
    cfg.update(max_iters=9, data_root="none")
    return str(write_config(cfg, path))


def run_main(demo, monkeypatch, *words):
    monkeypatch.setattr(sys, "argv", ["tools/demo.py", *map(str, words)])
    with pytest.raises(SystemExit) as end:
        TOOL["main"]()
    return end.value.code


@pytest.mark.slow
def test_a_real_run_and_the_same_command_again(
    demo, monkeypatch, data, tmp_path, capsys
):
    """Two trainings, the first of which is a row and the first phase of the other."""
    plain = tiny_config(tiny_supervised_cfg(data), tmp_path / "plain.py")
    semi = tiny_config(tiny_mean_teacher_cfg(data), tmp_path / "semi.py")
    content = dict(
        baseline="supervised",
        methods=dict(
            supervised=dict(config=plain), mean_teacher=dict(config=semi, teacher=plain)
        ),
        ratios=[50],
    )
    tiny = parse_sweep(content, Path("tiny.py"))
    monkeypatch.setattr(demo, "load_sweep", lambda name: tiny)
    monkeypatch.setattr(demo, "call_tool", lambda *words: None)
    silent = SimpleNamespace(get_instance=lambda *_, **__: None)
    monkeypatch.setattr(demo, "MMLogger", silent)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    out = tmp_path / "out"
    words = ("--data", data, "--iters", 2, 2, "--out", out)
    assert run_main(demo, monkeypatch, *words) == 0
    said = capsys.readouterr().out
    assert said.count("started      ") == 2
    for label in ("supervised", "mean teacher: student", "mean teacher: teacher"):
        assert f"| {label} " in said
    page = (out / "results.md").read_text()
    assert "# fishes, 50 % labels, fold 1" in page
    assert (out / "curves.png").is_file()
    assert (out / "report.html").is_file()
    records = [json.loads(path.read_text()) for path in out.glob("*/record.json")]
    assert sorted(record["iterations"] for record in records) == [2, 2]
    log = (out / "log.txt").read_text()
    named = [line.split(": ")[1] for line in log.splitlines() if "log of " in line]
    assert len(named) == 2
    assert all(Path(path).is_file() for path in named)

    assert run_main(demo, monkeypatch, *words) == 0
    said = capsys.readouterr().out
    assert "2 of 2 trainings are finished already and stay as they are" in said
    assert "started" not in said
    assert "| mean teacher: teacher " in said


def test_each_data_set_has_its_own_folder(demo, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def folder(data=None, out=None):
        return demo.output_folder(SimpleNamespace(data=data, out=out))

    works = tmp_path / "work_dirs"
    assert folder() == works / "demo"
    assert folder(data=Path("fish/")) == works / "demo-fish"
    assert folder(data=Path("fish"), out=Path("here")) == tmp_path / "here"
