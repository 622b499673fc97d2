"""A program that the verifier refuses, on standard output as --json wants it; errors.py tells it on stderr."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager

from xdpsim.cli.output import emit
from xdpsim.errors import Rejected

TO_RUN_IT = "run it all the same, with every access checked: --no-verify"
FIELDS = ("program", "message", "slot", "insn", "place", "path", "registers", "remedy")


@contextmanager
def rejections(as_json: bool) -> Iterator[None]:
    """Let what is refused inside pass on with a word on --no-verify, where JSON is wanted as one JSON object, too."""
    try:
        yield
    except Rejected as refused:
        if as_json:
            emit(json.dumps({"rejected": rejection(refused)}))
        if refused.details:  # ours: Linux's verifier cannot be switched off
            refused.hint += f"\n  {TO_RUN_IT}" if refused.hint else TO_RUN_IT
        raise


def rejection(refused: Rejected) -> dict[str, object]:
    """A refusal by its parts; those that only our verifier tells are null where Linux's refused."""
    known = {"message": refused.message, **refused.details}
    return {
        "errno": refused.errno,
        **{name: known.get(name) for name in FIELDS},
        "log": refused.log or None,
    }
