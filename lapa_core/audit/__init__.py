# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""Finds what is wrong with a recording, message by message: live while it runs, or afterwards.

The recorder and `lapa inspect` use the same checks; every threshold and its reason stands with
its check and in docs/audit.md. No torch, no ROS, no clock: time comes with the messages.

plan       what is expected of which stream, from a robot file or from a bag itself
capture    the whole audit; a dozen calls, constant memory
feed       serialised messages -> the calls of `capture`
cadence    rate, gaps, late start, early end
stamps     lost messages, order of stamps, one clock against another
pictures   black, white, flat, blurred, changed in format, frozen
motion     joint glitches, what moved and what never did
spans      when a fault was there
"""

from lapa_core.audit.capture import CaptureAudit
from lapa_core.audit.feed import Feeder
from lapa_core.audit.pictures import thumbnail
from lapa_core.audit.plan import Plan, StreamPlan, plan_for, plan_for_bag

__all__ = [
    "CaptureAudit",
    "Feeder",
    "Plan",
    "StreamPlan",
    "plan_for",
    "plan_for_bag",
    "thumbnail",
]
