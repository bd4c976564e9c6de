"""The methods that a study can name; entry points of the group `harness.methods` add to them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.distill.anc import ANC
from harness.distill.kd import KD
from harness.distill.ksan import KSAN
from harness.distill.l2 import L2
from harness.distill.method import Method
from harness.distill.scratch import Scratch
from harness.spec import one_of

if TYPE_CHECKING:
    AnyMethod = Method
else:
    AnyMethod = one_of([Scratch, KD, L2, ANC, KSAN], "harness.methods")
