"""Heads for another number of classes than the data has."""

import logging
from types import SimpleNamespace

import pytest
from torch import nn

from ssod_mm.engine.class_count_hook import ClassCountHook


def runner_for(num_classes, classes):
    head = nn.Module()
    head.num_classes = num_classes
    model = nn.Module()
    model.bbox_head = head
    loader = SimpleNamespace(dataset=SimpleNamespace(metainfo=dict(classes=classes)))
    return SimpleNamespace(
        model=model,
        train_dataloader=loader,
        val_dataloader=loader,
        logger=logging.getLogger("test"),
    )


@pytest.mark.parametrize("stage", ["before_train_epoch", "before_val_epoch"])
def test_disagreement_names_both_numbers_and_the_way_out(stage):
    runner = runner_for(5, ("a", "b", "c"))
    with pytest.raises(ValueError, match=r"\(5\).* 3\).*num_classes=N"):
        getattr(ClassCountHook(), stage)(runner)


def test_agreement_passes():
    ClassCountHook().before_train_epoch(runner_for(2, ("a", "b")))
