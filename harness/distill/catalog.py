"""The methods that a study can name; entry points of the group `harness.methods` add to them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.distill.anc import ANC
from harness.distill.at import AT
from harness.distill.can import CAN
from harness.distill.crd import CRD
from harness.distill.dist import DIST
from harness.distill.dkd import DKD
from harness.distill.fitnet import FitNet
from harness.distill.kd import KD
from harness.distill.ksan import KSAN
from harness.distill.ksan_kd import KSANKD
from harness.distill.l2 import L2
from harness.distill.method import Method
from harness.distill.pkt import PKT
from harness.distill.reviewkd import ReviewKD
from harness.distill.rkd import RKD
from harness.distill.scratch import Scratch
from harness.distill.sp import SP
from harness.distill.vid import VID
from harness.spec import one_of

if TYPE_CHECKING:
    AnyMethod = Method
else:
    AnyMethod = one_of(
        [Scratch, KD, L2, FitNet, AT, SP, RKD, PKT, VID, CRD, ReviewKD, DKD, DIST, CAN, ANC, KSAN, KSANKD],
        "harness.methods",
    )
