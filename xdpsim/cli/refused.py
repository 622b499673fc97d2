"""A program that the verifier refuses, on standard output as --json wants it; errors.py tells it on stderr."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager

from xdpsim.cli.output import emit
from xdpsim.cli.verify_json import Json, refusal_form
from xdpsim.errors import Rejected
from xdpsim.verifier.explain import Explanation

TO_RUN_IT = "run it all the same, with every access checked: --no-verify"


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


def rejection(refused: Rejected) -> Json:
    """A refusal as `verify --json` tells it; what only our verifier tells is null where Linux's refused."""
    if refused.details:
        told = refusal_form(Explanation.from_json(refused.details))
    else:
        told = refusal_form(Explanation(refused.errno, refused.message))
    return {"program": refused.details.get("program"), **told, "log": refused.log or None}
