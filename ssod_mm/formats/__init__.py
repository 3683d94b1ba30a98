"""Data folders as users have them: found, checked and converted to COCO json.

Nothing here imports torch, so that a command can look at a folder in no time.
"""
