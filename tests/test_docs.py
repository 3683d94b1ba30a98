"""What the documentation names exists, and its examples run."""

from __future__ import annotations

import argparse
import builtins
import importlib.util
import inspect
import re
import sys
from ast import literal_eval
from functools import cache
from pathlib import Path

import mmengine.runner.checkpoint
import pytest
import torch
from mmdet import registry
from mmdet.engine.hooks import num_class_check_hook
from mmengine.config import Config
from mmengine.registry import Registry

import ssod_mm.data
import ssod_mm.engine
import ssod_mm.evaluation  # noqa: F401  registers what the pages name
from ssod_mm.cli.lookup import changed_keys, find_config, load_config, load_parent
from ssod_mm.data.split_files import make_splits
from ssod_mm.engine.runtime import build_runner, resolve_config
from ssod_mm.engine.teacher_hook import MeanTeacherEMAHook
from ssod_mm.models import SemiTrainConfig
from tests.config_runs import shrink
from tests.docs_text import (
    GAP,
    PAGES,
    ROOT,
    Command,
    anchors,
    blocks,
    commands,
    links,
    names_of,
    spans,
    strings_of,
    table_after,
)
from tests.helpers import make_tiny_coco

TEXTS = {page.relative_to(ROOT).as_posix(): page.read_text() for page in PAGES}
SOURCES = sorted((ROOT / "ssod_mm").rglob("*.py"))
METHODS = "docs/ablations_and_methods.md"
READERS_OWN = "my_methods/"
SCRIPTS = {  # launcher -> the tool that gets the rest, and where in it NPROC stands
    "tools/dist_train.sh": ("train", 1),
    "tools/dist_test.sh": ("test", 2),
    "tools/slurm_train.sh": ("train", None),
}
each_page = pytest.mark.parametrize("page", TEXTS)


class ParserFound(Exception):
    """Carries the argument parser of a tool."""


@cache
def parser_of(tool: str) -> argparse.ArgumentParser:
    """The argument parser of ``tools/<tool>.py``."""
    path = ROOT / "tools" / f"{tool}.py"
    spec = importlib.util.spec_from_file_location(f"documented_{tool}", path)
    module = importlib.util.module_from_spec(spec)

    def stop(parser: argparse.ArgumentParser) -> None:
        raise ParserFound(parser)

    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(path.parent)
        patch.setitem(sys.modules, spec.name, module)
        spec.loader.exec_module(module)
        patch.setattr(argparse.ArgumentParser, "parse_args", stop)
        read = getattr(module, "parse_arguments", None) or module.parse_args
        with pytest.raises(ParserFound) as found:
            read()
    return found.value.args[0]


def options_of(tool: str) -> set[str]:
    return set(parser_of(tool)._option_string_actions)


@cache
def make_targets() -> set[str]:
    return set(re.findall(r"^([a-z]+):.*## ", (ROOT / "Makefile").read_text(), re.M))


@cache
def variables_read() -> str:
    """Everything that may read a variable of the environment."""
    files = [ROOT / "Makefile", *ROOT.glob("tools/*.sh"), *SOURCES]
    files += ROOT.glob("configs/_base_/**/*.py")
    return "\n".join(path.read_text() for path in files)


def tool_and_arguments(command: Command) -> tuple[str, list[str]]:
    """A documented command as a Python tool and what it gets."""
    program, *rest = command.words
    if program == "python":
        path, *rest = rest
        assert (ROOT / path).is_file(), f"{command}: no {path}"
        return Path(path).stem, rest
    assert program in SCRIPTS, f"{command}: unknown program"
    assert (ROOT / program).is_file()
    tool, position = SCRIPTS[program]
    if position is None:
        return tool, rest[2:]
    assert int(rest.pop(position)) > 0
    return tool, rest


def check_command(command: Command) -> None:
    program = command.words[0]
    if program == "make":
        targets = [word for word in command.words[1:] if "=" not in word]
        assert set(targets) <= make_targets(), command
        return
    if program == "tensorboard":
        return
    tool, arguments = tool_and_arguments(command)
    try:
        parsed = parser_of(tool).parse_args(arguments)
    except SystemExit:
        pytest.fail(f"{command}: tools/{tool}.py refuses these arguments")
    config = getattr(parsed, "config", None)
    if config and config != "CONFIG" and not config.startswith(READERS_OWN):
        cfg = load_config(config, parsed.cfg_options)
        for key in parsed.cfg_options or {}:
            assert has_key(cfg, key), f"{command}: the config has no {key}"


def has_key(cfg: Config, dotted: str) -> bool:
    node = cfg
    for part in dotted.split("."):
        if part not in node:
            return False
        node = node[part]
    return True


@each_page
def test_commands_are_understood(page):
    for command in commands(TEXTS[page]):
        names = [*command.variables]
        if command.words[0] == "make":
            names += [word.split("=")[0] for word in command.words if "=" in word]
        unread = [
            name
            for name in names
            if not re.search(rf"\b{name}\b", variables_read())
            and name not in ("PYTHONPATH", "CUDA_VISIBLE_DEVICES")
        ]
        assert not unread, command
        check_command(command)


def test_every_tool_is_documented():
    text = "\n".join(TEXTS.values())
    tools = [*ROOT.glob("tools/*.py"), *ROOT.glob("tools/*.sh")]
    tools = [tool for tool in tools if tool.name not in ("launch.sh", "setup_env.sh")]
    named = {"demo.py": "make demo", "benchmark_pipeline.py": "tools/benchmark_"}
    missing = [
        tool.name
        for tool in tools
        if named.get(tool.name, f"tools/{tool.name}") not in text
    ]
    assert not missing


@each_page
def test_links_lead_somewhere(page):
    here = (ROOT / page).parent
    for target in links(TEXTS[page]):
        path, _, anchor = target.partition("#")
        found = here / path if path else ROOT / page
        assert found.exists(), f"{page}: {target}"
        if anchor:
            assert anchor in anchors(found.read_text()), f"{page}: {target}"


@each_page
def test_files_exist(page):
    pattern = re.compile(r"(?:tools|tests|configs|ssod_mm|docs)/[\w./@-]*")
    for span in spans(TEXTS[page]):
        for name in pattern.findall(span):
            if re.search(r"(?<![\w/])" + re.escape(name), span):
                assert (ROOT / name).exists(), f"{page}: {name}"


@each_page
def test_configs_exist(page):
    for span in spans(TEXTS[page]):
        for name in re.findall(r"(?<![\w/])[a-z_]+/[a-z]\w+_\w+\.py", span):
            if not name.startswith((READERS_OWN, "tools/", "tests/", "ssod_mm/")):
                find_config(name)


@each_page
def test_options_exist(page):
    known = {
        option for tool in ROOT.glob("tools/*.py") for option in options_of(tool.stem)
    }
    for span in spans(TEXTS[page]):
        if span.startswith(("pip", "git", GAP)):
            continue
        named = set(re.findall(r"(?<!\S)--[a-z][\w-]*", span))
        tool = re.search(r"tools/(\w+)\.py", span)
        assert named <= (options_of(tool[1]) if tool else known), f"{page}: {span}"
        for target in re.findall(r"^make ([a-z]+)", span):
            assert target in make_targets(), f"{page}: {span}"


@cache
def known_classes() -> set[str]:
    """Classes of this package and of what it imports, and those of the examples."""
    names = {name for path in SOURCES for name in names_of(path)}
    code = "\n".join(
        block for text in TEXTS.values() for _, block in blocks(text, "python")
    )
    return names | set(re.findall(r"^class (\w+)", code, re.M)) | set(dir(builtins))


@each_page
def test_classes_exist(page):
    registries = [r for r in vars(registry).values() if isinstance(r, Registry)]
    for span in spans(TEXTS[page]):
        for name in re.findall(r"(?<![\w/.])[A-Z]\w*[a-z]\w*[A-Z]\w*(?![\w/])", span):
            known = name in known_classes() or any(r.get(name) for r in registries)
            assert known, f"{page}: {name}"


@each_page
def test_config_keys_exist(page):
    names = ("mean_teacher_frcnn_r50_180k_coco_p10", "mean_teacher_frcnn_r50_72k_voc")
    cfgs = [load_config(f"mean_teacher/{name}") for name in names]
    first = (
        r"(?:model|optim_wrapper|auto_scale_lr|default_hooks|\w+_dataloader|\w+_cfg)"
    )
    for span in spans(TEXTS[page]):
        match = re.match(rf"({first}(?:\.\w+)+)(?:=|$)", span)
        if match and match[1] != "model.last_step":
            key = match[1]
            assert any(takes_key(cfg, key) for cfg in cfgs), f"{page}: {key}"


def takes_key(cfg: Config, key: str) -> bool:
    """Whether a config has a key, or the class that the key's dict builds takes it."""
    parent, _, name = key.rpartition(".")
    if parent == "model.semi_train_cfg":
        return name in SemiTrainConfig.__dataclass_fields__
    if has_key(cfg, key):
        return True
    node = cfg
    for part in parent.split("."):
        node = node.get(part, {})
    found = [
        r.get(node.get("type", ""))
        for r in vars(registry).values()
        if isinstance(r, Registry)
    ]
    return any(
        name in inspect.signature(base.__init__).parameters
        for cls in filter(None, found)
        for base in cls.__mro__
    )


@each_page
def test_log_keys_exist(page):
    texts = {text for path in SOURCES for text in strings_of(path)}
    example = "\n".join(block for _, block in blocks(TEXTS[METHODS], "python"))
    for span in spans(TEXTS[page]):
        if re.fullmatch(r"pseudo_[a-z_]+", span) and span != "pseudo_labels":
            known = any(span in text for text in texts)
            assert known or f'"{span}"' in example, f"{page}: {span}"


def test_messages_are_those_of_the_code():
    sources = [
        *SOURCES,
        num_class_check_hook.__file__,
        mmengine.runner.checkpoint.__file__,
    ]
    texts = [text for path in sources for text in strings_of(Path(path))]
    messages = [span for span in spans(TEXTS["docs/own_data.md"]) if GAP in span]
    assert len(messages) > 10
    for message in messages:
        for piece in message.split(GAP):
            piece = re.sub(r"\(5\)|\b7\)", GAP, piece).strip(" ;,:")
            parts = [part.strip() for part in piece.split(GAP) if len(part) > 3]
            for part in parts:
                assert any(part in text for text in texts), f"{message}: {part}"


def test_tables_of_settings_are_complete():
    text = TEXTS["docs/training_step.md"]
    fields = SemiTrainConfig.__dataclass_fields__
    rows = table_after(text, "## Settings: `model.semi_train_cfg`")
    documented = {row[0].strip("`"): literal_eval(row[1].strip("`")) for row in rows}
    assert documented == {name: field.default for name, field in fields.items()}

    rows = table_after(text, "## The teacher: `MeanTeacherEMAHook`")
    documented = {row[0].strip("`"): literal_eval(row[1].strip("`")) for row in rows}
    parameters = inspect.signature(MeanTeacherEMAHook).parameters
    assert documented == {name: p.default for name, p in parameters.items()}


def test_readme_has_every_config_folder_and_page():
    folders = [path for path in ROOT.glob("configs/*") if path.is_dir()]
    folders += [path for path in ROOT.glob("configs/_base_/*") if path.is_dir()]
    targets = {(ROOT / target).resolve() for target in links(TEXTS["README.md"])}
    targets |= {target.parent for target in targets if target.name == "README.md"}
    listed = {folder for folder in folders if folder.name[0] not in "_."}
    assert listed <= targets
    assert set((ROOT / "docs").glob("*.md")) <= targets


def test_readme_keeps_the_place_of_its_results():
    text = TEXTS["README.md"]
    assert text.count("<!-- results:start -->") == 1
    assert 0 < text.find("<!-- results:start -->") < text.find("<!-- results:end -->")


def test_changelog_says_whether_results_are_affected():
    entries = re.split(r"^- ", TEXTS["CHANGELOG.md"], flags=re.MULTILINE)[1:]
    assert entries
    for entry in entries:
        assert re.search(r"Results\s+affected: (yes|no)", entry), entry


@pytest.fixture(scope="module")
def examples(tmp_path_factory) -> Path:
    """A folder with the files that the page on methods tells the reader to write."""
    root = tmp_path_factory.mktemp("examples")
    (root / "configs").symlink_to(ROOT / "configs")
    (root / READERS_OWN).mkdir()
    text = TEXTS[METHODS]
    for start, block in blocks(text, "python"):
        name = re.findall(rf"`({READERS_OWN}\w+\.py)`", text[:start])[-1]
        (root / name).write_text(block)
    return root


def test_example_of_an_ablation_changes_one_key(examples):
    path = examples / READERS_OWN / "mean_teacher_thr09.py"
    changes = changed_keys(load_parent(path), load_config(path))
    assert list(changes) == ["model.semi_train_cfg.score_thr"]
    assert changes["model.semi_train_cfg.score_thr"][1] == 0.9


def test_examples_are_all_of_the_readers_files(examples):
    named = {name for name in re.findall(rf"{READERS_OWN}(\w+\.py)", TEXTS[METHODS])}
    assert named == {path.name for path in (examples / READERS_OWN).glob("*.py")}


@pytest.fixture
def top_k_runner(examples, tmp_path, monkeypatch):
    """The example of a method, after one training iteration in small."""
    monkeypatch.syspath_prepend(examples)
    torch.set_num_threads(1)
    data = make_tiny_coco(tmp_path / "shapes", 20, num_classes=8)
    ann_file = data / "annotations/instances_train.json"
    make_splits(ann_file, ann_file.parent / "semi", [5], folds=[1])
    path = examples / READERS_OWN / "top_k_teacher_shapes.py"
    cfg = shrink(load_config(path, {"data_root": str(data)}))
    runner = build_runner(resolve_config(cfg, work_dir=str(tmp_path / "out")))
    runner.train()
    return runner


def test_example_of_a_method_trains(top_k_runner):
    step = top_k_runner.model.last_step
    assert type(top_k_runner.model).__name__ == "TopKTeacher"
    assert all(len(one) <= 3 for one in step.labels_weak.instances)
    kept = step.labels_strong.instances
    assert sum(map(len, kept)) > 0
    logged = top_k_runner.message_hub.log_scalars
    trust = torch.cat([one.scores.square() for one in kept]).mean().item()
    assert logged["train/pseudo_trust"].current() == pytest.approx(trust, rel=1e-4)
    assert logged["train/unsup_loss_cls"].current() > 0
    assert "val/teacher/coco/bbox_mAP" in logged
