"""What our verifier says of a program, in the form in which verifier_linux tells Linux's answer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from tests.support.verifier_linux import ALL_CAPS, LEVEL1, Answer, message_of
from xdpsim.verifier.main import verify

if TYPE_CHECKING:
    from xdpsim.btf.types import Btf
    from xdpsim.loader.model import ProgramSpec
    from xdpsim.maps.spec import MapSpec


def ask_ours(
    spec: ProgramSpec,
    maps: Sequence[MapSpec] = (),
    btf: Btf | None = None,
    *,
    caps: frozenset[str] = ALL_CAPS,
    flags: frozenset[str] = frozenset(),
    log_level: int = LEVEL1,
) -> Answer:
    """Verify a program; flags are the names of verifier_cases.FLAGS."""
    verdict = verify(
        spec,
        maps,
        btf,
        caps=caps,
        log_level=log_level,
        strict_alignment="strict_alignment" in flags,
        test_state_freq="test_state_freq" in flags,
    )
    message = message_of(verdict.log) if verdict.log else verdict.message
    return Answer(
        errno=0 if verdict.accepted else verdict.errno,
        message="" if verdict.accepted else message,
        processed=verdict.insns_processed,
        total_states=verdict.total_states,
        peak_states=verdict.peak_states,
        stack_depth=str(verdict.stack_depth),
        log=verdict.log,
    )
