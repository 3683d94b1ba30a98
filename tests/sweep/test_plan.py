"""Sweep files and the trainings that follow from them."""

from __future__ import annotations

import inspect
from pathlib import Path

import pytest
from mmengine.runner import Runner

from ssod_mm.cli import fingerprint
from ssod_mm.cli.fingerprint import config_sha256
from ssod_mm.cli.lookup import changed_keys, config_roots, find_config
from ssod_mm.sweep.plan import plan_sweep
from ssod_mm.sweep.spec import find_sweep, load_sweep, parse_sweep
from ssod_mm.sweep.targets import load_reference, load_target

PLAIN = "supervised/supervised_faster-rcnn_r18_shapes.py"
CERTAINTY = "certainty/certainty_faster-rcnn_r18_shapes.py"
PATH = Path("tiny.py")


def sweep_of(**content):
    content.setdefault("methods", dict(plain=dict(config=PLAIN)))
    return parse_sweep(content, PATH)


def test_overrides_are_rows_of_their_own():
    sweep = sweep_of(
        budget=dict(max_iters=50),
        overrides=dict(fast=dict(of="plain", options={"a.b": 2}, label="faster")),
    )
    plain, fast = sweep.rows
    assert (fast.key, fast.label, fast.config) == ("plain+fast", "faster", PLAIN)
    assert plain.options == {"max_iters": 50}
    assert fast.options == {"max_iters": 50, "a.b": 2}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (dict(ratio=[1]), "unknown key ratio"),
        (dict(methods={}), "methods names no config"),
        (dict(methods=dict(a=dict(label="x"))), "methods.a.config is missing"),
        (dict(methods=dict(a=dict(config=PLAIN, fold=1))), "unknown key fold"),
        (dict(folds=[]), "folds=.* must be a list, not empty"),
        (dict(folds=3), "folds=3 must be a list"),
        (dict(seeds=[1, 1]), "names something twice"),
        (dict(baseline="none"), "baseline='none' is none of"),
        (dict(overrides=dict(a=dict(of="x"))), "of='x' is none of"),
        (dict(overrides=dict(a=dict(options={}))), "overrides.a.of is missing"),
        (dict(methods=dict(a=dict(config=PLAIN, model="ema"))), "model='ema'"),
        (dict(methods=dict(a=dict(config=PLAIN, published="3"))), "published='3'"),
        (dict(methods=dict(a=dict(config=PLAIN, published=101))), "published=101"),
        (
            dict(ratios=[5, 9], methods=dict(a=dict(config=PLAIN, published=3))),
            r"published is one number, but the row has the ratios \[5, 9\]",
        ),
        (
            dict(ratios=[5], methods=dict(a=dict(config=PLAIN, ratios=[7]))),
            r"ratios has \[7\]",
        ),
    ],
)
def test_mistakes_are_named(content, message):
    with pytest.raises(ValueError, match=message):
        sweep_of(**content)


def test_published_numbers_belong_to_their_row_and_ratio():
    methods = dict(plain=dict(config=PLAIN, published=30, table="1", ratios=[5]))
    overrides = dict(
        told=dict(of="plain", published=35.8, table="5", options={"a.b": 2}),
        untold=dict(of="plain"),
    )
    sweep = sweep_of(ratios=[5, 9], methods=methods, overrides=overrides)
    told = [(row.of, row.published, row.table) for row in sweep.rows]
    assert told == [
        (None, {5: 30.0}, "1"),
        ("plain", {5: 35.8}, "5"),
        ("plain", {}, ""),
    ]
    changed = sweep.with_options({"max_iters": 3}, {}).rows
    assert [row.published for row in changed] == [{}, {}, {}]
    assert sweep.with_options({}, {}) == sweep


def table_of(**content):
    """Two methods of which one has only the first ratio."""
    methods = dict(a=dict(config=PLAIN), b=dict(config=CERTAINTY, ratios=[5]))
    given = dict(methods=methods, ratios=[5, 10], baseline="a", **content)
    return sweep_of(**given)


def test_a_selection_takes_the_place_of_what_the_file_says():
    sweep = table_of().select(ratios=[10, 2], folds=[2, 3], seeds=[7])
    assert (sweep.ratios, sweep.folds, sweep.seeds) == ((10, 2), (2, 3), (7,))
    assert [(row.key, row.ratios) for row in sweep.rows] == [("a", (10, 2))]
    assert len(plan_sweep(sweep).runs) == 4
    assert table_of().select() == table_of()


def test_a_row_keeps_to_its_own_ratios():
    rows = table_of().select(ratios=[20, 5]).rows
    assert [row.ratios for row in rows] == [(20, 5), (5,)]


def test_chosen_rows_stay_in_order_and_a_baseline_may_be_left_out():
    assert [row.key for row in table_of().select(["b", "a"]).rows] == ["a", "b"]
    assert table_of().select(["b", "a"]).baseline == "a"
    assert table_of().select(["b"]).baseline is None


@pytest.mark.parametrize(
    ("choice", "message"),
    [
        (dict(rows=["a", "c"]), "tiny.py has no row c; a, b"),
        (dict(folds=[1, 1]), r"folds=\[1, 1\] names something twice"),
        (dict(rows=["b"], ratios=[10]), r"no chosen row has the ratios \(10,\)"),
    ],
)
def test_a_selection_of_nothing_is_refused(choice, message):
    with pytest.raises(ValueError, match=message):
        table_of().select(**choice)


def test_data_without_ratios_gets_none():
    with pytest.raises(ValueError, match=r"tiny.py: .* no label ratios"):
        sweep_of().select(ratios=[5])


def test_further_options_reach_both_phases():
    sweep = sweep_of(budget=dict(max_iters=50), teacher_budget=dict(x=1))
    (row,) = sweep.with_options({"max_iters": 2, "y": 3}, {"z": 4}).rows
    assert row.options == {"max_iters": 2, "y": 3}
    assert row.teacher_options == {"x": 1, "z": 4}


def test_an_unknown_sweep_names_those_there_are():
    with pytest.raises(FileNotFoundError, match="shapes"):
        find_sweep("shaeps")


def test_a_ratio_is_no_file():
    methods = dict(a=dict(config=PLAIN, published={1: 9.0}))
    plan = plan_sweep(sweep_of(ratios=[1, 10], methods=methods))
    assert [stage.percent for stage in plan.stages.values()] == [1, 10]
    assert plan.sweep.rows[0].published == {1: 9.0}
    methods["a"]["published"] = {2: 9.0}
    with pytest.raises(ValueError, match=r"has the ratio 2, the row has \[1, 10\]"):
        sweep_of(ratios=[1, 10], methods=methods)


@pytest.fixture(scope="module")
def shapes():
    return plan_sweep(load_sweep("shapes"))


def test_rows_share_a_first_phase(shapes):
    by_row = {run.row.key: run.stages for run in shapes.runs}
    assert by_row["supervised"][0] == by_row["mean_teacher"][0]
    assert by_row["supervised"][0] != by_row["certainty"][0]
    assert by_row["supervised"][1] != by_row["mean_teacher"][1]
    first = shapes.stages[by_row["certainty"][0]]
    assert "interval" in first.config
    assert first.max_iters == 1200


def test_a_second_phase_starts_from_the_first_ones_checkpoint(shapes):
    run = next(run for run in shapes.runs if run.row.key == "certainty")
    first, second = (shapes.stages[stage_id] for stage_id in run.stages)
    command = shapes.command(second, Path("/out"))
    assert f"continue_from=/out/{first.folder}/iter_1200.pth" in command
    assert command[0] == CERTAINTY
    assert command[command.index("--work-dir") + 1] == f"/out/{second.folder}"
    assert "--percent 5" in " ".join(command)


def ids(**content):
    return [*plan_sweep(sweep_of(**content)).stages]


def test_an_id_changes_with_what_is_trained_and_with_nothing_else():
    plain = ids()
    assert ids() == plain
    assert ids(title="another", baseline="plain") == plain
    others = [
        ids(budget={"optim_wrapper.optimizer.lr": 0.5}),
        ids(folds=[2]),
        ids(seeds=[1]),
        ids(ratios=[10]),
        ids(amp="bf16"),
        ids(methods=dict(plain=dict(config=PLAIN, teacher=PLAIN)))[1:],
    ]
    assert len({tuple(sweep) for sweep in [plain, *others]}) == 7


def test_a_second_phase_has_another_id_when_the_first_changes():
    method = dict(config=CERTAINTY)
    one = ids(methods=dict(c=method), teacher_budget=dict(max_iters=100))
    other = ids(methods=dict(c=method), teacher_budget=dict(max_iters=200))
    assert one[1] != other[1]


def test_a_teacher_that_does_not_fit_is_refused():
    method = dict(config=CERTAINTY, teacher=PLAIN)
    with pytest.raises(ValueError, match="the teacher of"):
        ids(methods=dict(c=method))


def test_options_of_both_phases_decide_whether_they_fit():
    both = dict(
        config="certainty/certainty_faster-rcnn_r50_coco.py",
        options={"model.detector.roi_head.bbox_head.num_intervals": 4},
    )
    key = "model.roi_head.bbox_head.num_intervals"
    assert len(ids(methods=dict(c=dict(both, teacher_options={key: 4})))) == 2
    with pytest.raises(ValueError, match="num_intervals=9"):
        ids(methods=dict(c=dict(both, teacher_options={key: 9})))


def test_place_and_looks_do_not_count():
    one = dict(model=dict(a=1, b=(2,)), work_dir="x", custom_hooks=[dict(type="A")])
    other = dict(
        custom_hooks=[dict(type="A"), dict(type="RunRecordHook")],
        work_dir="y",
        log_level="DEBUG",
        helper=[1, 2],
        default_hooks=dict(logger=dict(interval=3)),
        model=dict(b=[2], a=1),
    )
    assert config_sha256(one) == config_sha256(other)
    assert config_sha256({**one, "model": dict(a=1, b=(3,))}) != config_sha256(one)
    assert config_sha256({**one, "custom_hooks": []}) != config_sha256(one)


SHIPPED = sorted(path.stem for path in find_sweep("shapes").parent.glob("*.py"))


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_sweeps_can_be_read(name):
    sweep = load_sweep(name)
    assert sweep.title
    for row in sweep.rows:
        for percent in row.ratios:
            find_config(row.config.format(percent=percent))
        if row.teacher:
            find_config(row.teacher)


@pytest.mark.parametrize("name", [n for n in SHIPPED if load_sweep(n).rows[-1].of])
def test_every_ablation_changes_what_it_names(name):
    for row in load_sweep(name).rows:
        if row.of is not None:
            target = f"{name}:{row.key}"
            assert changed_keys(load_reference(target), load_target(target)), target


def test_ablation_sweep_of_a_folder_is_complete():
    root = config_roots()[0]
    shipped = {
        path.relative_to(root).as_posix()
        for method in ("certainty", "lerprc", "dtg")
        for path in (root / method).glob("*_mnv2_folder.py")
    }
    rows = {row.config for row in load_sweep("folder_ablations").rows}
    assert shipped <= rows


def test_rows_of_a_folder_start_from_a_first_phase():
    plan = plan_sweep(load_sweep("folder_ablations"))
    assert all(len(run.stages) == 2 for run in plan.runs)


def test_an_ensemble_is_taught_by_several_first_phases():
    sweep = load_sweep("coco_certainty_ablations")
    plan = plan_sweep(sweep.select(rows=["certainty+ensemble"]))
    (run,) = plan.runs
    *teachers, student = (plan.stages[stage_id] for stage_id in run.stages)
    assert len(teachers) > 1
    assert teachers[0].seed == student.seed
    (given,) = [w for w in plan.command(student, Path("/o")) if "model.teachers" in w]
    assert given.count("/o/") == len(teachers)


def test_the_hash_counts_what_the_runner_trains_by():
    """The keys are written out, since mmengine's runner would load torch."""
    place_and_looks = {
        *("cfg", "experiment_name", "launcher", "load_from", "log_level"),
        *("log_processor", "resume", "test_cfg", "test_dataloader", "test_evaluator"),
        *("visualizer", "work_dir"),
    }
    runner = set(inspect.signature(Runner).parameters)
    assert (runner - place_and_looks) | {"custom_imports"} == fingerprint._READ
