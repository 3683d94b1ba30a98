"""Heads for another number of classes than the data has."""

import json
import logging
from types import SimpleNamespace

import pytest
from torch import nn
from torch.utils.data import DataLoader

from ssod_mm.data.datasets import CocoSemiDataset
from ssod_mm.engine.class_hook import ClassCountHook
from tests.data.coco_files import write_image


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


def coco_file(path, names, num_images=2):
    """A json whose image i has one box of the class names[i]."""
    document = dict(
        images=[
            dict(id=i, file_name=f"{i}.jpg", width=16, height=12)
            for i in range(num_images)
        ],
        annotations=[
            dict(id=i, image_id=i, category_id=10 + i, bbox=[1, 1, 8, 8], area=64)
            for i in range(num_images)
        ],
        categories=[dict(id=10 + i, name=name) for i, name in enumerate(names)],
    )
    path.write_text(json.dumps(document))
    for image in document["images"]:
        write_image(path.parent / image["file_name"])
    return CocoSemiDataset(
        ann_file=str(path), data_prefix=dict(img=str(path.parent)), pipeline=[]
    )


def runner_of(train, val):
    loop = SimpleNamespace(
        dataloader=DataLoader(val), evaluator=SimpleNamespace(dataset_meta=None)
    )
    return SimpleNamespace(
        train_dataloader=DataLoader(train),
        _train_loop=SimpleNamespace(dataloader=DataLoader(train)),
        _val_loop=loop,
        visualizer=SimpleNamespace(dataset_meta=None),
        cfg={},
        model=nn.Linear(1, 1),
        _load_from="start.pth",
    )


def test_validation_numbers_its_labels_as_training_does(tmp_path):
    train = coco_file(tmp_path / "train.json", ("cat", "dog"))
    val = coco_file(tmp_path / "val.json", ("dog", "cat"))
    assert val.get_cat_ids(0) == [0]
    runner = runner_of(train, val)
    ClassCountHook().before_train(runner)
    assert val.get_cat_ids(0) == [1]  # image 0 of the validation set shows a dog
    assert runner._val_loop.evaluator.dataset_meta["classes"] == ("cat", "dog")


def test_a_checkpoint_says_what_the_labels_mean(tmp_path):
    train = coco_file(tmp_path / "train.json", ("cat", "dog"))
    val = coco_file(tmp_path / "val.json", ("cat", "dog"))
    runner = runner_of(train, val)
    state = nn.Linear(1, 1).state_dict()
    meta = dict(dataset_meta=dict(classes=("dog", "cat")))
    ClassCountHook().after_load_checkpoint(runner, dict(meta=meta, state_dict=state))
    ClassCountHook().before_train(runner)
    assert train.get_cat_ids(0) == val.get_cat_ids(0) == [1]
    meta = dict(dataset_meta=dict(classes=("dog", "cow")))
    wrong = dict(meta=meta, state_dict=state)
    message = r"train\.json do not .* the checkpoint: cow .*dog, cow; .*dog, cat"
    with pytest.raises(ValueError, match=message):
        ClassCountHook().after_load_checkpoint(runner, wrong)


def test_names_that_validation_lacks_are_an_error(tmp_path):
    train = coco_file(tmp_path / "train.json", ("cat", "dog"))
    val = coco_file(tmp_path / "val.json", ("cat", "cow"))
    with pytest.raises(ValueError, match=r"val\.json .*train\.json: dog is missing"):
        ClassCountHook().before_train(runner_of(train, val))


def test_weights_of_another_network_are_refused_unless_allowed(tmp_path):
    data = coco_file(tmp_path / "train.json", ("cat", "dog"))
    runner = runner_of(data, data)
    wrong = dict(state_dict=nn.Linear(2, 1).state_dict())
    with pytest.raises(ValueError, match=r"start\.pth .*50% fit.*allow_partial_load"):
        ClassCountHook().after_load_checkpoint(runner, wrong)
    runner.cfg = dict(allow_partial_load=True)
    ClassCountHook().after_load_checkpoint(runner, wrong)
