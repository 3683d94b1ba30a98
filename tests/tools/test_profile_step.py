"""The profile of a training step, on tiny inputs."""

from __future__ import annotations

import json
from types import SimpleNamespace
from unittest.mock import patch

import pytest
import torch
from mmengine.config import ConfigDict
from torch import nn

from ssod_mm.apis.profile import phases_of, profiled
from ssod_mm.apis.profile_report import quartiles
from ssod_mm.apis.step_costs import CountedOperations, Phases
from ssod_mm.apis.step_variants import variant_config
from ssod_mm.apis.synthetic_steps import calibrate
from ssod_mm.cli.lookup import load_config
from ssod_mm.cli.resolve import resolve_config
from ssod_mm.errors import UserError
from tests.config_runs import make_layouts, shrink
from tests.models.builders import batch, build_mean_teacher, total
from tests.tools.semi_checkpoints import call_tool

CONFIG = "dtg/dtg_faster-rcnn_r18_shapes.py"


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    root = make_layouts(tmp_path_factory.mktemp("layouts"))
    file = root / "tiny.py"
    options = {"data_root": str(root / "shapes")}
    shrink(resolve_config(load_config(CONFIG), cfg_options=options)).dump(file)
    return file


def profile(config, out, *variants, options=()):
    """What the tool leaves in its json file."""
    few = ["--rounds", 2, "--batches", 1, "--no-memory", *options]
    call_tool("profile_step", config, *few, "--out", out, "--variants", *variants)
    return json.loads(out.read_text())


def test_method_beside_soft_teacher(config, tmp_path, capsys):
    results = profile(config, tmp_path / "out.json", "method", "soft_teacher")
    assert results["floor_ms"] > 0
    ours, theirs = (results["variants"][k] for k in ("method", "soft_teacher"))
    assert len(ours["seconds"]) == len(theirs["seconds"]) == 2
    assert ours["phases"].keys() >= {
        *("teacher_guidance", "to_student_view", "guided_loss", "backward"),
        *("optimiser", "preprocessing", "rest", "student backbone"),
    }
    assert theirs["phases"]["get_pseudo_instances"]["operations"] > 0
    for found in (ours, theirs):
        assert found["operations"] > 1000
        assert found["operations"] == sum(
            cost["operations"] for cost in found["phases"].values()
        )
        assert found["waits"] == sum(site[0] for site in found["sites"])
    assert ours["operations"] < theirs["operations"]
    # mmdet's sampler draws on the host; ours does not
    assert any("random_sampler.py" in site[1] for site in theirs["sites"])
    assert not any("random_sampler.py" in site[1] for site in ours["sites"])
    printed = capsys.readouterr().out
    assert "phases of method" in printed
    assert f"{ours['operations']:.4g}" in printed


def test_synthetic_batches_need_no_data(config, tmp_path):
    broken, text = tmp_path / "moved.py", config.read_text()
    kind = "type='MeanTeacherEMAHook'"
    assert kind in text
    # Neither does a teacher that rests after another phase's training.
    text = text.replace(kind, f"{kind}, teacher='frozen'")
    broken.write_text(text.replace(str(config.parent), "/nowhere"))
    options = ("--synthetic", 64, 96, "--images", 1, 2, "--boxes", 3, "--no-phases")
    results = profile(
        broken,
        tmp_path / "out.json",
        "mean_teacher",
        "against",
        options=(*options, "--against", broken),
    )
    assert list(results["variants"]) == ["mean_teacher", "against"]
    assert "phases" not in results["variants"]["against"]


def test_against_needs_a_config(config, tmp_path, capsys):
    with pytest.raises(SystemExit):
        profile(config, tmp_path / "out.json", "against")
    assert "--against CONFIG" in capsys.readouterr().err


def test_operations_and_waits_are_counted_where_they_happen():
    phases = Phases()

    def other():
        values = torch.arange(3.0)  # 1
        values.view(3, 1).t()  # views
        return values.tolist()  # a wait

    owner = SimpleNamespace(other=other)

    def step():
        mask = torch.ones(2) > 0  # 2
        torch.zeros(2)[mask]  # 2, a wait
        mask.nonzero()  # 1, a wait
        owner.other()
        torch.zeros(2)[mask] = 1.0

    with phases.watching({"other": (owner, "other")}), CountedOperations(phases):
        phases.run(step)
    assert phases.operations["other"] == 1
    assert phases.waits == {"rest": 2, "other": 1}
    assert phases.operations["rest"] >= 6
    assert owner.other is other
    assert not hasattr(torch.Tensor.tolist, "__wrapped__")
    before = dict(phases.operations)
    step()
    assert phases.operations == before


def test_time_of_a_phase_is_without_that_of_phases_inside(monkeypatch):
    clock = iter([1.0, 2.0, 4.0, 7.0, 11.0, 16.0])
    phases = Phases()
    monkeypatch.setattr("time.perf_counter", lambda: next(clock))
    inner = SimpleNamespace(call=lambda: None)
    outer = SimpleNamespace(call=lambda: inner.call())
    parts = {"outer": (outer, "call"), "inner": (inner, "call")}
    with phases.watching(parts):
        phases.run(lambda: outer.call())
    assert phases.seconds == {"rest": 1.0 + 5.0, "outer": 2.0 + 4.0, "inner": 3.0}
    assert phases.calls == {"outer": 1, "inner": 1}


def test_phases_of_a_module_end_after_an_error():
    class Broken(nn.Module):
        def forward(self):
            raise RuntimeError

    phases, module = Phases(), Broken()
    with phases.watching({"broken": (module, None)}):
        with pytest.raises(RuntimeError):
            phases.run(module)
        assert phases.current == "rest"
    assert not module._forward_hooks


def test_model_is_left_as_it_was(mmdet_scope):
    model = build_mean_teacher()
    wrapper = SimpleNamespace(backward=lambda loss: loss.backward(), step=lambda: None)
    inputs = batch()
    before = {name: set(vars(module)) for name, module in model.named_modules()}

    def step(one):
        wrapper.backward(total(model.loss(*one)))

    found = profiled(step, [inputs], phases_of(model, wrapper))
    assert found["phases"]["backward"]["operations"] > 50
    assert found["phases"]["student rpn_head loss_by_feat"]["ms"] > 0
    after = {name: set(vars(module)) for name, module in model.named_modules()}
    new = {name: after[name] - before[name] for name in after}
    assert {key for keys in new.values() for key in keys} <= {"_anchor_grids"}


def test_a_single_round_has_no_quartiles():
    assert quartiles([1.25]) == "1.250"
    assert quartiles([1.0, 2.0, 3.0]) == "2.000 [1.000, 3.000]"


def test_an_untrained_rpn_is_sure_of_few_anchors(mmdet_scope):
    model = build_mean_teacher()
    inputs, samples = batch(num_unsup=2)
    data = dict(inputs=inputs, data_samples=samples)
    preprocessor = type(model.data_preprocessor)
    with patch.object(preprocessor, "forward", lambda _self, data, _training: data):
        assert calibrate(model, data, boxes=3) > 0
    maps = model.student.rpn_head(model.student.extract_feat(inputs["unsup_teacher"]))
    logits = torch.cat([level.flatten() for level in maps[0]])
    few = len(logits) // 500
    assert 0 < few <= (logits > 0).sum() <= few + 1  # the next one lies at the border


def test_soft_teacher_cannot_train_intervals():
    heads = dict(bbox_head=dict(type="IntervalBBoxHead"))
    model = ConfigDict(detector=dict(roi_head=heads), semi_train_cfg={})
    with pytest.raises(UserError, match="leave soft_teacher out of --variants"):
        variant_config(model, "soft_teacher")
