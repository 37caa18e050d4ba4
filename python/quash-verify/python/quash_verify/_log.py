"""Passes the follower's log records to ``logging``."""

import logging

from . import _native

logger = logging.getLogger("quash_verify")


def pass_on() -> None:
    """Passes on the records that wait, with the times at which they were made."""
    for level, created, module, text in _native.take_records():
        if not logger.isEnabledFor(level):
            continue
        record = logger.makeRecord(logger.name, level, module, 0, text, (), None)
        record.created = created
        record.msecs = created % 1 * 1000
        logger.handle(record)
