"""What all data sets share; the files beside this one say where theirs lie."""

dataset_type = "CocoSemiDataset"

labelled = dict(type=dataset_type, filter_cfg=dict(filter_empty_gt=True))
unlabelled = dict(type=dataset_type, filter_cfg=dict(filter_empty_gt=False))

val_dataloader = dict(
    batch_size=1,
    num_workers=2,
    persistent_workers=True,
    drop_last=False,
    sampler=dict(type="DefaultSampler", shuffle=False),
    dataset=dict(type=dataset_type, test_mode=True),
)
test_dataloader = val_dataloader
