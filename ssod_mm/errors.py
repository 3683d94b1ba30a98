"""The one kind of error that is the user's to put right."""

from __future__ import annotations


class UserError(ValueError):
    """A value, file or combination that cannot work.

    Whatever checks what a user gave raises it, with a message of one line that names
    the file or config key and the way out. The commands print that line alone; any
    other error is a bug and keeps its traceback.
    """
