"""The embedded data set of `tools/make_shapes.py`, laid out like your own data."""

_base_ = "./coco_folder.py"

data_root = "{{$DATA_ROOT:data/shapes}}"
num_classes = 8

labelled = dict(data_root=data_root)
unlabelled = dict(data_root=data_root)
hidden_ann_file = (
    f"{data_root}/annotations/semi/instances_train.{{fold}}@{{percent}}-hidden.json"
)
for hook in _base_.pseudo_label_hooks:
    hook.ann_file = hidden_ann_file
val_dataloader = dict(batch_size=8, dataset=dict(data_root=data_root))
test_dataloader = val_dataloader
val_evaluator = dict(ann_file=f"{data_root}/annotations/instances_val.json")
test_evaluator = val_evaluator

del hook
