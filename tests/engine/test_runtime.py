"""From config file and command line to a runner: overrides, checks, learning rate."""

from __future__ import annotations

import logging
from pathlib import Path
from types import SimpleNamespace
from unittest import mock

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.hooks import Hook
from torch.utils.data import DataLoader, Dataset

from ssod_mm.cli import lookup, parameters, resolve
from ssod_mm.cli.data_files import NamedPath, way_out
from ssod_mm.cli.errors import explain
from ssod_mm.engine.runtime import (
    build_runner,
    describe_learning_rate,
    find_config,
    load_config,
    resolve_config,
    use_local_batch_norm,
)
from ssod_mm.engine.seed_hook import IterationSeedHook
from ssod_mm.errors import UserError
from tests.helpers import make_tiny_coco, tiny_supervised_cfg, write_config


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return make_tiny_coco(tmp_path_factory.mktemp("runtime"), 4)


def completed(content, **arguments):
    return resolve_config(Config(content), check_files=(), **arguments)


def warnings_of(call):
    """The warnings that ``call`` logs."""
    log = mock.Mock()
    with (
        mock.patch.object(resolve, "print_log", log),
        mock.patch.object(parameters, "print_log", log),
    ):
        result = call()
    for _, options in log.call_args_list:
        assert options["level"] == logging.WARNING
    return result, [arguments[0] for arguments, _ in log.call_args_list]


# --- finding and reading ----------------------------------------------------------


def test_config_is_found_by_path_and_by_place_below_the_root(tmp_path, monkeypatch):
    root = tmp_path / "configs"
    (root / "_base_").mkdir(parents=True)
    config = root / "dtg" / "dtg_small.py"
    config.parent.mkdir()
    config.write_text("seed = 0\n")
    monkeypatch.setattr(lookup, "config_roots", lambda: [root])
    assert find_config(config) == config
    assert find_config("dtg/dtg_small.py") == config
    assert find_config("dtg/dtg_small") == config
    with pytest.raises(FileNotFoundError, match=r"did you mean dtg/dtg_small\.py\?"):
        find_config("dtg/dtg_smal")
    with pytest.raises(FileNotFoundError, match=r"no config quite_other$"):
        find_config("quite_other")


def test_repository_configs_are_a_root():
    (root,) = lookup.config_roots()
    assert (root / "_base_" / "runtime.py").is_file()


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("a = (", "SyntaxError"),
        ("a = b", "NameError"),
        ("_base_ = 'absent.py'", "inherits from a file"),
    ],
)
def test_broken_config_is_named_with_the_reason(tmp_path, text, reason):
    path = tmp_path / "broken.py"
    path.write_text(text)
    with pytest.raises((ValueError, FileNotFoundError), match=reason) as caught:
        load_config(path)
    assert str(path) in str(caught.value)


def test_overrides_reach_what_follows_from_them(tmp_path):
    path = tmp_path / "derived.py"
    path.write_text(
        'data_root = "data/a"\nmax_iters = {1: 90, 10: 300}\npercent = 1\n'
        "train_cfg = dict(val_interval=1 / 3)\nlr_steps = [2 / 3]\n"
        'param_scheduler = dict(type="MultiStepLR", by_epoch=False)\n'
        'model = dict(a="{data_root}/x.json", percent="{percent}")\n'
    )

    def resolved(**options):
        cfg = resolve_config(load_config(path), cfg_options=options, check_files=())
        steps = cfg.param_scheduler.milestones
        return cfg.model.a, cfg.train_cfg.max_iters, cfg.train_cfg.val_interval, steps

    assert resolved() == ("data/a/x.json", 90, 30, [60])
    assert resolved(data_root="/b") == ("/b/x.json", 90, 30, [60])
    assert resolved(percent=10) == ("data/a/x.json", 300, 100, [200])
    assert resolved(max_iters=9) == ("data/a/x.json", 9, 3, [6])
    with pytest.raises(ValueError, match="max_iters is given for 1, 10 percent"):
        resolved(percent=5)


def test_changed_keys_are_dotted_and_pair_old_with_new(tmp_path):
    (tmp_path / "parent.py").write_text("a = dict(b=1, c=[1, dict(d=2)])\ne = 5\n")
    child = tmp_path / "child.py"
    child.write_text('_base_ = "parent.py"\na = dict(b=3)\nf = [1]\n')
    changes = lookup.changed_keys(lookup.load_parent(child), load_config(child))
    assert changes == {"a.b": (1, 3), "f": (None, [1])}
    one = Config(dict(a=[1, dict(d=2)]))
    other = Config(dict(a=[1, dict(d=3)]))
    assert lookup.changed_keys(one, other) == {"a.1.d": (2, 3)}
    with pytest.raises(ValueError, match="inherits from no other config"):
        lookup.load_parent(tmp_path / "parent.py")


# --- completing -------------------------------------------------------------------


def test_placeholders_are_filled_everywhere_after_overrides():
    content = dict(
        fold=1,
        percent=10,
        seed=0,
        deep=dict(items=[("{fold}@{percent}.json", 3), dict(text="seed {seed}")]),
        other="old",
    )
    cfg = completed(
        content, fold=2, percent=0.5, seed=7, cfg_options={"other": "x{fold}y"}
    )
    assert cfg.deep["items"] == [("2@0.5.json", 3), dict(text="seed 7")]
    assert cfg.other == "x2y"
    assert cfg.randomness == dict(seed=7)
    assert completed(content, percent=10.0).deep["items"][0][0] == "1@10.json"


def test_command_line_wins_over_cfg_options_and_those_over_the_file():
    content = dict(fold=1, percent=10, name="{fold}")
    assert completed(content, cfg_options={"fold": 3}).name == "3"
    assert completed(content, fold=4, cfg_options={"fold": 3}).name == "4"


def test_input_config_is_left_alone():
    cfg = Config(dict(fold=1, name="{fold}", randomness=dict(deterministic=True)))
    resolve_config(cfg, fold=2, seed=5, check_files=())
    assert cfg.to_dict() == dict(
        fold=1, name="{fold}", randomness=dict(deterministic=True)
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (dict(fold=0), r"fold \(--fold\) must be a whole number from 1, not 0"),
        (dict(percent=0), r"percent \(--percent\) must be above 0 .* not 0"),
        (dict(percent=101), r"percent \(--percent\) must be .* at most 100, not 101"),
        (dict(seed=-1), r"seed \(--seed\) must be a whole number from 0"),
        (dict(cfg_options={"fold": "first"}), r"fold .* not 'first'"),
        (dict(cfg_options={"fold": True}), r"fold .* not True"),
    ],
)
def test_values_outside_their_range_name_the_key(arguments, message):
    with pytest.raises(ValueError, match=message):
        completed(dict(fold=1, percent=10, seed=0), **arguments)


def test_unknown_placeholder_is_kept_and_named():
    cfg, messages = warnings_of(
        lambda: completed(dict(fold=1, a="{fold}-{ratio}", b="epoch_{}.pth"))
    )
    assert cfg.a == "1-{ratio}"
    assert len(messages) == 1
    assert "{ratio}" in messages[0]


def test_misspelt_cfg_option_is_named_and_known_ones_are_not():
    content = dict(model=dict(neck=[dict(a=1)]), work_dir="w")
    options = {"model.neck.0.a": 2, "model.nek": 3}
    cfg, messages = warnings_of(lambda: completed(content, cfg_options=options))
    assert cfg.model.neck[0].a == 2
    assert len(messages) == 1
    assert "model.nek:" in messages[0]


def test_cfg_option_that_does_not_fit_is_one_error():
    with pytest.raises(ValueError, match="--cfg-options do not fit"):
        completed(dict(model=dict(a=[1])), cfg_options={"model.a.3": 1})


def test_output_folder_follows_config_fold_percent_and_seed(tmp_path):
    path = write_config(dict(fold=1, percent=10, seed=0), tmp_path / "dtg_small.py")
    cfg = resolve_config(load_config(path), fold=3, percent=1, check_files=())
    assert cfg.work_dir == "work_dirs/dtg_small/fold3-p1-seed0"
    assert completed(dict(work_dir="mine/{fold}", fold=2)).work_dir == "mine/2"
    assert completed(dict(work_dir="mine"), work_dir="given").work_dir == "given"


@pytest.mark.parametrize(("amp", "dtype"), [("bf16", "bfloat16"), ("fp16", "float16")])
def test_amp_switches_the_wrapper_and_keeps_the_rest(amp, dtype):
    wrapper = dict(
        type="OptimWrapper", optimizer=dict(lr=1), clip_grad=dict(max_norm=1)
    )
    cfg = completed(dict(optim_wrapper=wrapper), amp=amp)
    changed = dict(type="MixedPrecisionOptimWrapper", dtype=dtype)
    assert cfg.optim_wrapper == {**wrapper, **changed}


def test_amp_without_a_value_suits_the_machine():
    content = dict(optim_wrapper=dict(optimizer=dict(lr=1)))
    expected = "float16" if torch.cuda.is_available() else "bfloat16"
    assert completed(content, amp=True).optim_wrapper.dtype == expected


def test_amp_refuses_what_it_cannot_replace():
    with pytest.raises(ValueError, match="it is DeepSpeedOptimWrapper"):
        completed(dict(optim_wrapper=dict(type="DeepSpeedOptimWrapper")), amp="bf16")
    with pytest.raises(ValueError, match="it is not set"):
        completed({}, amp="bf16")
    with pytest.raises(ValueError, match="--amp takes bf16 or fp16, not 'int8'"):
        completed(dict(optim_wrapper={}), amp="int8")


def test_resume_from_the_newest_or_a_named_checkpoint(tmp_path):
    (tmp_path / "iter_1.pth").touch()
    content = dict(load_from="a.pth", work_dir=str(tmp_path))
    cfg, messages = warnings_of(lambda: completed(content, resume=True))
    assert (cfg.resume, cfg.load_from, messages) == (True, None, [])
    checkpoint = tmp_path / "b.pth"
    checkpoint.touch()
    cfg = completed({}, resume=str(checkpoint))
    assert (cfg.resume, cfg.load_from) == (True, str(checkpoint))
    with pytest.raises(FileNotFoundError, match=r"--resume: there is no .*c\.pth"):
        completed({}, resume=str(tmp_path / "c.pth"))


def test_resume_of_a_run_that_never_began_starts_it_and_says_so(tmp_path):
    content = dict(work_dir=str(tmp_path))
    cfg, messages = warnings_of(lambda: completed(content, resume=True))
    assert cfg.resume is True
    assert len(messages) == 1
    assert f"{tmp_path} holds no checkpoint yet" in messages[0]


def test_lr_scaling_follows_the_config_or_the_switch():
    content = dict(auto_scale_lr=dict(enable=True, base_batch_size=8))
    assert completed(content).auto_scale_lr.enable is True
    assert completed(content, auto_scale_lr=False).auto_scale_lr == dict(
        enable=False, base_batch_size=8
    )
    with pytest.raises(ValueError, match=r"needs auto_scale_lr\.base_batch_size"):
        completed({}, auto_scale_lr=True)


def test_ratio_sampler_gets_the_loaders_batch_size():
    loader = dict(batch_size=5, sampler=dict(type="RatioSampler", batch_size=2))
    cfg = completed(
        dict(train_dataloader=loader), cfg_options={"train_dataloader.batch_size": 10}
    )
    assert cfg.train_dataloader.sampler.batch_size == 10


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (dict(train_cfg=dict(type="EpochBasedTrainLoop")), "never ends an epoch"),
        (dict(train_cfg=dict(by_epoch=True)), "never ends an epoch"),
        (
            dict(
                train_dataloader=dict(
                    batch_sampler=dict(type="AspectRatioBatchSampler"),
                    sampler=dict(type="RatioSampler"),
                )
            ),
            "set train_dataloader.batch_sampler=None",
        ),
    ],
)
def test_ratio_sampler_refuses_what_would_never_end_or_undo_it(change, message):
    loader = dict(batch_size=5, sampler=dict(type="RatioSampler"))
    with pytest.raises(ValueError, match=message):
        completed({"train_dataloader": loader, **change})


# --- files ------------------------------------------------------------------------


def test_existing_files_pass_and_each_missing_one_is_named(data):
    content = tiny_supervised_cfg(data)
    resolve_config(Config(content), check_files=("train", "val", "test"))
    for name, key in (
        ("instances_absent.json", "train_dataloader.dataset.datasets.0.ann_file"),
        (dict(img="absent/"), "train_dataloader.dataset.datasets.0.data_prefix.img"),
    ):
        field = key.split(".")[4]
        options = {f"train_dataloader.dataset.datasets.0.{field}": name}
        with pytest.raises(FileNotFoundError, match="absent") as caught:
            resolve_config(Config(content), cfg_options=options)
        assert key in str(caught.value)


def test_missing_evaluator_file_and_data_root_are_named(data):
    content = tiny_supervised_cfg(data)
    content["test_evaluator"]["ann_file"] = "absent.json"
    with pytest.raises(FileNotFoundError, match=r"\(test_evaluator\.ann_file\)"):
        resolve_config(Config(content), check_files=("test",))
    resolve_config(Config(content), check_files=("train",))
    content["test_dataloader"]["dataset"]["data_root"] = "absent"
    with pytest.raises(FileNotFoundError, match=r"no folder absent \(test.*data_root"):
        resolve_config(Config(content), check_files=("test",))


@pytest.mark.parametrize(
    ("path", "root", "command"),
    [
        (
            "d/annotations/semi/instances_train.2@0.5-unlabeled.json",
            "d",
            "make_splits.py --ann d/annotations/instances_train.json "
            "--percent 0.5 --fold 2",
        ),
        (
            "d/lists/train.1@10.json",
            "d",
            "make_splits.py --ann d/lists/train.json --out d/lists "
            "--percent 10 --fold 1",
        ),
        ("data/shapes/train", "data/shapes", "make_shapes.py --out data/shapes"),
        ("x/coco/val2017", "x/coco", "prepare_coco.py --root x/coco"),
        ("x/VOCdevkit", "x/VOCdevkit", "prepare_voc.py --root x/VOCdevkit"),
        ("mine", "mine", "--cfg-options data_root=FOLDER"),
        ("mine/train", "mine", "--cfg-options the.key=..."),
    ],
)
def test_missing_data_come_with_the_command_that_makes_them(path, root, command):
    assert way_out(NamedPath("the.key", path, root, False)).endswith(command)


def test_remote_data_are_not_looked_for():
    assert NamedPath("k", "s3://bucket/a.json", "", False).exists()


# --- runner -----------------------------------------------------------------------


def run_config(data, work_dir, **changes):
    content = {**tiny_supervised_cfg(data), **changes}
    content["experiment_name"] = str(work_dir)[1:].replace("/", "_")
    cfg = resolve_config(Config(content), work_dir=str(work_dir))
    cfg.visualizer.name = cfg.experiment_name
    return cfg


def test_learning_rate_follows_the_batch_before_the_schedule(data, tmp_path):
    cfg = run_config(data, tmp_path)
    cfg.optim_wrapper.accumulative_counts = 2
    runner = build_runner(cfg)
    expected = 0.01 * (2 * 2) / 8
    line = "lr 0.01 x 4/8 = 0.005 (batch 2 x 1 x 2 accumulated; "
    log = next(Path(runner.log_dir).glob("*.log")).read_text()
    assert line + "auto_scale_lr.base_batch_size 8)" in log

    rates = []
    runner.register_hook(
        SimpleHook(lambda: rates.append(runner.optim_wrapper.get_lr()["lr"][0]))
    )
    runner.train()
    # the schedule starts at a tenth of the scaled rate and ends there at its end
    assert rates[0] == pytest.approx(expected / 10)
    assert runner.param_schedulers[0].base_values == [pytest.approx(expected)]
    assert cfg.auto_scale_lr.base_batch_size == 8  # the caller's config


class SimpleHook(Hook):
    def __init__(self, call):
        self.call = call

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        self.call()


@pytest.mark.parametrize(
    ("scaling", "world_size", "line"),
    [
        (
            dict(enable=True, base_batch_size=40),
            6,
            "lr 0.01 x 6/40 = 0.0015 (batch 1 x 6; auto_scale_lr.base_batch_size 40)",
        ),
        (dict(enable=False, base_batch_size=40), 2, "lr 0.01, not scaled (batch 1 x 2"),
        (None, 1, "lr 0.01, not scaled (batch 1 x 1 = 1)"),
    ],
)
def test_log_line_says_rate_and_batch(scaling, world_size, line):
    cfg = Config(
        dict(
            optim_wrapper=dict(optimizer=dict(lr=0.01)),
            train_dataloader=dict(batch_size=1),
            auto_scale_lr=scaling,
        )
    )
    assert describe_learning_rate(cfg, world_size).startswith(line)


def test_launcher_without_its_variables_is_one_error(data, tmp_path, monkeypatch):
    for name in ("RANK", "WORLD_SIZE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    cfg = run_config(data, tmp_path, launcher="pytorch")
    with pytest.raises(ValueError, match=r"dist_train\.sh CONFIG NPROC"):
        build_runner(cfg)
    cfg.launcher = "slurm"
    with pytest.raises(ValueError, match="--launcher slurm needs CUDA"):
        build_runner(cfg)


def test_more_processes_than_gpus_is_one_error(data, tmp_path, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    for name in ("LOCAL_RANK", "RANK", "WORLD_SIZE"):
        monkeypatch.setenv(name, "1")
    cfg = run_config(data, tmp_path, launcher="pytorch")
    with pytest.raises(ValueError, match="process 2 on this machine has no GPU"):
        build_runner(cfg)


# --- seeds and errors -------------------------------------------------------------


def test_cpu_processes_have_plain_batch_norm():
    heads = [dict(norm_cfg=dict(type="SyncBN")), dict(norm_cfg=dict(type="GN"))]
    detector = dict(type="RTMDet", backbone=dict(norm_cfg=dict(type="SyncBN")))
    cfg = Config(dict(model=dict(detector=dict(detector, heads=heads))))
    with mock.patch("ssod_mm.engine.runtime.print_log") as log:
        use_local_batch_norm(cfg)
    assert "SyncBN needs GPUs" in log.call_args.args[0]
    changed = cfg.model.detector
    assert changed.use_syncbn is False
    assert changed.backbone.norm_cfg.type == "BN"
    assert [head.norm_cfg.type for head in changed["heads"]] == ["BN", "GN"]

    before = cfg.to_dict()
    with mock.patch("ssod_mm.engine.runtime.print_log") as log:
        use_local_batch_norm(cfg)
    assert cfg.to_dict() == before
    assert not log.called


def test_iteration_seed_depends_on_seed_rank_and_iteration_alone():
    def numbers(seed, iteration, rank=0):
        runner = SimpleNamespace(seed=seed, iter=iteration)
        with mock.patch("ssod_mm.engine.seed_hook.get_rank", return_value=rank):
            IterationSeedHook().before_train_iter(runner, batch_idx=0)
        return torch.rand(1).item(), np.random.rand()

    first = numbers(3, 10)
    torch.rand(5)
    assert numbers(3, 10) == first
    others = [numbers(3, 11), numbers(4, 10), numbers(3, 10, rank=1)]
    assert len({first, *others}) == 4
    assert all(a != b for other in others for a, b in zip(first, other, strict=True))


def test_hook_with_a_seed_of_its_own_ignores_the_runners():
    values = []
    for seed in (1, 2):
        runner = SimpleNamespace(seed=seed, iter=0)
        IterationSeedHook(seed=9).before_train_iter(runner, batch_idx=0)
        values.append(torch.rand(1).item())
    assert values[0] == values[1]


def caught(call):
    try:
        call()
    except Exception as error:
        return error
    raise AssertionError("no error")


def test_only_mistakes_of_the_user_become_one_line():
    assert "no config absent" in explain(caught(lambda: find_config("absent")))
    assert "fold" in explain(caught(lambda: completed({}, fold=0)))
    assert explain(caught(lambda: int("x"))) is None
    assert explain(caught(lambda: way_out(None))) is None
    unknown = KeyError("X is not in the mmdet::model registry. Please check")
    assert explain(unknown).startswith("X is not in the")
    assert explain(KeyError("loss_cls")) is None


class Broken(Dataset):
    """Of a data set whose item raises the given error."""

    def __init__(self, error):
        self.error = error

    def __len__(self):
        return 1

    def __getitem__(self, index):
        raise self.error


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (UserError("picture.jpg:\nis broken"), "picture.jpg: is broken"),
        (FileNotFoundError("no picture.jpg"), "no picture.jpg"),
        (ValueError("a bug"), None),
        (RuntimeError("a bug"), None),
    ],
)
def test_error_out_of_a_loader_worker(error, line):
    loader = DataLoader(Broken(error), num_workers=1)
    assert explain(caught(lambda: next(iter(loader)))) == line


def test_a_full_gpu_is_one_line_and_a_bug_keeps_its_traceback():
    full = torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB. More")
    assert "batch_size" in explain(full)
    assert explain(full).endswith("(CUDA out of memory)")
    full = RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried")
    assert explain(full).startswith("the memory is full")
    assert explain(RuntimeError("CUDA error: an illegal memory access")) is None
    assert explain(ValueError("operands could not be broadcast together")) is None


def test_a_part_of_another_type_may_be_given_its_keys():
    content = dict(data=dict(type="A", path="x"), model=dict(type="M"))
    options = {"data.type": "B", "data.sizes": True}
    _, warnings = warnings_of(lambda: completed(content, cfg_options=options))
    assert warnings == []
    options = {"data.type": "B", "model.sizes": True}
    _, (warning,) = warnings_of(lambda: completed(content, cfg_options=options))
    assert "model.sizes: the config has no such key" in warning
