"""``SWEEP:ROW``: one row of a sweep as a config."""

from __future__ import annotations

import pytest

from ssod_mm.cli.fingerprint import config_sha256
from ssod_mm.cli.lookup import changed_keys, load_config
from ssod_mm.cli.resolve import resolve_config
from ssod_mm.sweep.plan import plan_sweep
from ssod_mm.sweep.spec import load_sweep
from ssod_mm.sweep.targets import load_reference, load_target
from tests.tools.semi_checkpoints import call_tool

DTG = "dtg/dtg_faster-rcnn_r50_coco.py"
SWEEP = f"""
title = "Rows"
ratios = [10]
folds = [2, 3]
seeds = [4]
baseline = "dtg"
amp = "bf16"
budget = {{"max_iters": 77}}
methods = dict(
    dtg=dict(config="{DTG}"),
    plain=dict(config="mean_teacher/mean_teacher_faster-rcnn_r50_coco.py"),
)
overrides = dict(
    tau040=dict(of="dtg", options={{"model.dense.rcnn.tau": 0.4}}, published=35.8,
                table="5"),
    long=dict(of=["dtg", "plain"], options={{"max_iters": 99}}),
    wrong=dict(of="dtg", options={{"model.dense.rcnm.tau": 0.4, "tua": 1}}),
)
"""


@pytest.fixture
def sweep_file(tmp_path):
    path = tmp_path / "rows.py"
    path.write_text(SWEEP)
    return path


def test_a_config_name_is_the_config():
    assert load_target(DTG).to_dict() == load_config(DTG).to_dict()


def test_a_row_has_the_sweeps_options_precision_and_split(sweep_file):
    cfg = load_target(f"{sweep_file}:tau040")
    assert cfg.model.dense.rcnn.tau == 0.4
    assert cfg.max_iters == 77
    assert (cfg.fold, cfg.percent, cfg.seed) == (2, 10, 4)
    assert cfg.optim_wrapper.dtype == "bfloat16"
    assert cfg.work_dir == "work_dirs/rows/dtg+tau040/fold{fold}-p{percent}-seed{seed}"
    resolved = resolve_config(cfg, fold=5, check_files=())
    assert resolved.work_dir == "work_dirs/rows/dtg+tau040/fold5-p10-seed4"


def test_a_row_alone_is_the_sweeps_own_training(sweep_file):
    """The same resolved config, hence the same hash, for every row."""
    text = sweep_file.read_text()
    sweep_file.write_text("\n".join(x for x in text.splitlines() if "wrong" not in x))
    plan = plan_sweep(load_sweep(sweep_file))
    for run in plan.runs:
        stage = plan.stages[run.stages[-1]]
        options = dict(stage.options)
        planned = resolve_config(
            load_config(stage.config),
            fold=stage.fold,
            percent=stage.percent,
            seed=stage.seed,
            amp=stage.amp,
            cfg_options=options,
            check_files=(),
        )
        alone = resolve_config(
            load_target(f"{sweep_file}:{run.row.key}"), fold=run.fold, check_files=()
        )
        assert config_sha256(alone) == config_sha256(planned), run.name
    assert len(plan.runs) == 10


def test_a_row_of_a_sweep_that_ships():
    cfg = load_target("coco_dtg_ablations:tau040")
    assert cfg.work_dir.startswith("work_dirs/coco_dtg_ablations/dtg+tau040/")


def test_a_row_of_another_ratio(sweep_file):
    assert load_target(f"{sweep_file}:dtg", percent=1).percent == 1


def test_an_override_differs_from_its_method_by_its_options(sweep_file):
    target = f"{sweep_file}:dtg+tau040"
    changes = changed_keys(load_reference(target), load_target(target))
    assert changes == {"model.dense.rcnn.tau": (0.45, 0.4)}


def test_a_row_is_compared_at_its_own_ratio():
    target = "coco_dtg_ablations:tau040"
    changes = changed_keys(load_reference(target), load_target(target))
    assert changes == {"model.dense.rcnn.tau": (0.45, 0.4)}


def test_a_method_differs_from_its_config_by_what_the_sweep_sets(sweep_file):
    target = f"{sweep_file}:dtg"
    changes = changed_keys(load_reference(target), load_target(target))
    assert changes["max_iters"] == (180000, 77)
    assert changes["fold"] == (1, 2)
    assert "work_dir" not in changes


def test_the_tool_prints_what_a_row_changes(sweep_file, capsys):
    call_tool("print_config", f"{sweep_file}:tau040", "--diff")
    assert capsys.readouterr().out == "model.dense.rcnn.tau\n  - 0.45\n  + 0.4\n"


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("tau04", "has no row 'tau04'; did you mean tau040"),
        ("zzz", "has no row 'zzz'; it has dtg, plain"),
        ("long", "stands for several rows: say .*:dtg.long or .*:plain.long"),
        ("wrong", "row dtg.wrong: .* tua: nothing reads it"),
    ],
)
def test_a_row_that_cannot_be_read_is_one_line(sweep_file, row, message):
    with pytest.raises(ValueError, match=message):
        load_target(f"{sweep_file}:{row}")


def test_an_unknown_sweep_names_similar_ones():
    with pytest.raises(FileNotFoundError, match=r"did you mean .*coco_dtg_ablations"):
        load_target("coco_dtg_ablation:tau040")


def test_the_user_has_the_last_word(sweep_file):
    options = {"max_iters": 5}
    cfg = load_target(f"{sweep_file}:dtg")
    assert (
        resolve_config(cfg, cfg_options=options, check_files=()).train_cfg.max_iters
        == 5
    )
