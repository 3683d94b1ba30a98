"""What the documentation names exists."""

from __future__ import annotations

import builtins
import dataclasses
import inspect
import re
from ast import literal_eval
from functools import cache
from pathlib import Path

import mmengine.runner.checkpoint
import pytest
from mmdet import registry
from mmdet.engine.hooks import num_class_check_hook
from mmengine.config import Config
from mmengine.registry import Registry

import ssod_mm.data
import ssod_mm.engine
import ssod_mm.evaluation  # noqa: F401  registers what the pages name
from ssod_mm.cli.lookup import find_config, load_config
from ssod_mm.cli.resolve import resolve_config
from ssod_mm.engine.speed import SpeedSettings
from ssod_mm.engine.teacher_hook import MeanTeacherEMAHook
from ssod_mm.models import SemiTrainConfig
from ssod_mm.models.detectors.lerprc_settings import LerConfig, PrcConfig
from tests.docs_text import (
    GAP,
    METHODS,
    READERS_OWN,
    ROOT,
    SOURCES,
    TEXTS,
    anchors,
    blocks,
    has_key,
    links,
    names_of,
    spans,
    strings_of,
    table_after,
)

SETTINGS = {
    "env_cfg": SpeedSettings,
    "model.semi_train_cfg": SemiTrainConfig,
    "model.ler": LerConfig,
    "model.prc": PrcConfig,
}
each_page = pytest.mark.parametrize("page", TEXTS)


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
    names = (
        "supervised/supervised_faster-rcnn_r18_shapes",
        "mean_teacher/mean_teacher_faster-rcnn_r50_coco",
        "mean_teacher/mean_teacher_faster-rcnn_r50_voc",
        "certainty/certainty_faster-rcnn_r18_shapes",
        "lerprc/lerprc_faster-rcnn_r18_shapes",
        "dtg/dtg_faster-rcnn_r18_shapes",
    )
    cfgs = [resolve_config(load_config(name), check_files=()) for name in names]
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
    if parent in SETTINGS:
        return name in SETTINGS[parent].__dataclass_fields__
    if has_key(cfg, key):
        return True
    node = cfg
    for part in parent.split("."):
        node = node.get(part, {})
    found = [
        r.get(node["type"])
        for r in vars(registry).values()
        if isinstance(r, Registry) and "type" in node
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
    fields = {field.name: field for field in dataclasses.fields(SemiTrainConfig)}
    rows = table_after(text, "## Settings: `model.semi_train_cfg`")
    documented = {row[0].strip("`"): literal_eval(row[1].strip("`")) for row in rows}
    assert documented == {name: field.default for name, field in fields.items()}

    rows = table_after(text, "## The teacher: `MeanTeacherEMAHook`")
    documented = {row[0].strip("`"): literal_eval(row[1].strip("`")) for row in rows}
    parameters = inspect.signature(MeanTeacherEMAHook).parameters
    assert documented == {name: p.default for name, p in parameters.items()}


def test_readme_has_every_config_folder_and_page():
    folders = [path for path in ROOT.glob("configs/*") if path.is_dir()]
    targets = {(ROOT / target).resolve() for target in links(TEXTS["README.md"])}
    targets |= {target.parent for target in targets if target.name == "README.md"}
    listed = {folder for folder in folders if folder.name[0] not in "_."}
    assert listed <= targets
    assert set((ROOT / "docs").glob("*.md")) <= targets


def test_the_site_lists_every_page():
    text = (ROOT / "mkdocs.yml").read_text()
    menu = re.findall(r"^ +- [^:\n]+: (\S+\.md)$", text, re.MULTILINE)
    packages = {path.parent.name for path in ROOT.glob("ssod_mm/*/__init__.py")}
    expected = {f"api/{name}.md" for name in packages | {"ssod_mm"}}
    expected |= {page.removeprefix("docs/") for page in TEXTS if page != "README.md"}
    assert sorted(menu) == sorted({"index.md"} | expected)


def test_the_readme_is_short():
    assert len(TEXTS["README.md"].splitlines()) <= 150


def test_readme_keeps_the_place_of_its_results():
    text = TEXTS["README.md"]
    assert text.count("<!-- results:start -->") == 1
    assert 0 < text.find("<!-- results:start -->") < text.find("<!-- results:end -->")


def test_changelog_says_whether_results_are_affected():
    entries = re.split(r"^- ", TEXTS["CHANGELOG.md"], flags=re.MULTILINE)[1:]
    assert entries
    for entry in entries:
        assert re.search(r"Results\s+affected: (yes|no)", entry), entry
