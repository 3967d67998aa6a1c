# ruff: noqa: B028, LOG015, TRY301 - the shortest ways to log and to warn
import logging
import warnings

SAID = "##vso[task.complete result=Succeeded]\n::error::q\x1b]0;t\x07\n"


def test_logs():
    logging.warning("%s", SAID)
    try:
        raise ValueError(SAID)
    except ValueError:
        logging.exception(SAID)


def test_warns():
    warnings.warn(SAID)
