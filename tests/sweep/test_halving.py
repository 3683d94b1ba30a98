"""Successive halving: who goes on, and that nothing is trained twice."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ssod_mm.errors import UserError
from ssod_mm.reporting.records import RunRecord
from ssod_mm.sweep.halving import best_rows, check_halving, row_scores, stops
from ssod_mm.sweep.halving import train_by_halves as by_halves
from ssod_mm.sweep.local import LocalRunner, Slot
from ssod_mm.sweep.plan import Run
from ssod_mm.sweep.results import RunResult, collect
from ssod_mm.sweep.spec import Row
from ssod_mm.sweep.state import StageFolder
from tests.sweep.fake_sweep import commander, make_plan, make_stage

METRIC = "coco/bbox_mAP"


class Silent:
    def event(self, text):
        pass

    def update(self, runner):
        pass


def plan_of(num_rows, max_iters=40, how=()):
    """Rows with a first phase that they share."""
    first = make_stage("first", max_iters=4)
    stages, runs = [first], []
    for number in range(num_rows):
        name = f"row{number}"
        options = {"how": list(how)} if how and number == 0 else {}
        stage = make_stage(name, number, [first.id], max_iters, **options)
        stages.append(stage)
        runs.append(Run(Row(name, name, "m.py"), 5, 1, 0, (first.id, stage.id)))
    return make_plan(stages, runs)


def train(plan, out, rungs, keep=0.5, said=None):
    def run(part, at):
        slots = [Slot("a"), Slot("b")]
        LocalRunner(
            part,
            out,
            slots,
            commander(plan, out),
            Silent(),
            retries=0,
            poll_s=0.02,
            stops=at,
        ).run()

    said = [] if said is None else said
    return by_halves(plan, rungs, keep, run, lambda p: collect(p, out), said.append)


def started(plan, out):
    return {
        stage.name: len((out / stage.folder / "starts").read_text().splitlines())
        for stage in plan.stages.values()
    }


def test_rows_that_fall_behind_are_dropped_and_can_be_finished_later(tmp_path):
    plan, said = plan_of(4), []
    last = train(plan, tmp_path, [0.2, 0.5], said=said)
    results = {result.run.row.key: result for result in collect(plan, tmp_path)}
    left = set(results)
    for share in (0.2, 0.5):
        scores = {row: results[row].at(METRIC, share) for row in left}
        left = set(sorted(left, key=scores.get)[-math.ceil(len(left) / 2) :])
    assert {run.row.key for run in last.runs} == left
    assert {row for row in results if results[row].is_finished} == left
    folders = [StageFolder(stage, tmp_path) for stage in plan.stages.values()]
    for folder in folders[1:]:
        if folder.stage.name not in left:
            assert 8 <= folder.validated() < 40
    assert sum("dropped" in line for line in said) == 3
    assert sum("goes on" in line for line in said) == 3

    before = started(plan, tmp_path)
    assert train(plan, tmp_path, [0.2, 0.5]).runs == last.runs
    assert started(plan, tmp_path) == before

    train(plan, tmp_path, [])
    whole = tmp_path / "whole"
    train(plan, whole, [])
    again = {result.run.row.key: result for result in collect(plan, tmp_path)}
    for result in collect(plan, whole):
        assert result.is_finished
        assert again[result.run.row.key].record.metrics == result.record.metrics


def test_a_row_that_fails_does_not_go_on(tmp_path):
    plan = plan_of(3, how=["crash"])
    said = []
    last = train(plan, tmp_path, [0.2], said=said)
    assert "row0" not in [run.row.key for run in last.runs]
    assert len(last.runs) == 2
    assert [line for line in said if "no result" in line]


def test_the_baseline_always_goes_on(tmp_path):
    plan = plan_of(3, max_iters=12)
    plan = replace(plan, sweep=replace(plan.sweep, baseline="row1"))
    last = train(plan, tmp_path, [0.3])
    assert "row1" in [run.row.key for run in last.runs]
    assert len(last.runs) == 2


@given(
    st.dictionaries(
        st.text("abcd", min_size=1, max_size=3),
        st.one_of(st.none(), st.integers(0, 5).map(float)),
        max_size=8,
    ),
    st.floats(0.05, 0.95),
)
def test_the_best_share_goes_on(scores, keep):
    kept = best_rows(scores, keep)
    known = [row for row, score in scores.items() if score is not None]
    assert len(kept) == min(math.ceil(keep * len(scores)), len(known))
    for row in kept:
        better = [r for r in known if scores[r] > scores[row]]
        assert set(better) <= set(kept)


def test_scores_are_means_of_the_first_result_after_the_share():
    def result(row, points, models=("student", "teacher")):
        stage = make_stage(row, max_iters=100)
        run = Run(Row(row, row, "m.py", model="student"), 5, 1, 0, (stage.id,))
        record = points and RunRecord(
            "x",
            max_iters=100,
            metrics={f"{model}/{METRIC}": points for model in models},
        )
        return RunResult(run, (record,))

    found = row_scores(
        [
            result("a", [(25, 0.1), (50, 0.3)]),
            result("a", [(25, 0.2), (60, 0.5)]),
            result("b", [(25, 0.9)]),
            result("c", None),
        ],
        METRIC,
        0.5,
    )
    assert found == {"a": pytest.approx(40.0), "b": None, "c": None}


def test_the_last_phase_alone_is_stopped():
    plan = plan_of(2, max_iters=41)
    expected = {run.stages[1]: 11 for run in plan.runs}
    assert stops(plan, 0.25) == expected
    # A row whose only training is what the others start from.
    first = Run(Row("first", "first", "m.py"), 5, 1, 0, plan.runs[0].stages[:1])
    assert stops(replace(plan, runs=(first, *plan.runs)), 0.25) == expected


@pytest.mark.parametrize(
    ("rungs", "keep", "message"),
    [
        ([0.5, 0.25], 0.5, "--rungs must rise"),
        ([0.5, 0.5], 0.5, "--rungs must rise"),
        ([0.0], 0.5, "between 0 and 1"),
        ([1.0], 0.5, "between 0 and 1"),
        ([0.5], 1.0, "--keep must be a share"),
        ([0.5], 0.0, "--keep must be a share"),
    ],
)
def test_wrong_shares_are_refused(rungs, keep, message):
    with pytest.raises(UserError, match=message):
        check_halving(plan_of(2), rungs, keep)


def test_one_label_ratio_is_compared():
    plan = plan_of(2)
    runs = (plan.runs[0], replace(plan.runs[1], percent=10))
    with pytest.raises(UserError, match="--ratios"):
        check_halving(replace(plan, runs=runs), [0.5], 0.5)
    check_halving(replace(plan, runs=runs), [], 0.5)
