# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""What a few seconds of one camera's frames say. Knows nothing of ROS."""

from __future__ import annotations

import difflib
import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from lapa_core.control.params import ControlParams
from lapa_core.data import images
from lapa_core.robot import Camera
from lapa_ros.doctor.finding import Finding, judge

LOST = "lost on the way"
RATE_SHARE = 0.9
LOST_WARN, LOST_FAIL = 0.02, 0.5
IN_FLIGHT = 2  # frames that one of two subscriptions may still be about to get
MAX_AGE_S = 0.15  # exposure, transfer and decoding of a USB camera take up to 0.1 s
DARK, BRIGHT = 5.0, 250.0  # mean of 0 .. 255
REPEATED_WARN = 0.2


@dataclass
class FrameLog:
    """Frames of one topic: one entry a message in each list.

    Attributes:
        arrived_s: monotonic time of arrival, best effort, as policy_node subscribes.
        age_s: arrival minus stamp, by the node's clock.
        stamps_ns: of the same messages.
        digests: checksum of the pixels.
        sizes: (width, height) that came.
        encodings: that came, or the compressed formats.
        means: brightness of some decoded frames, 0 .. 255.
        undecodable: why frames could not be decoded.
        reliable_ns: stamps that a reliable subscription got at the same time.
    """

    arrived_s: list[float] = field(default_factory=list)
    age_s: list[float] = field(default_factory=list)
    stamps_ns: list[int] = field(default_factory=list)
    digests: list[int] = field(default_factory=list)
    sizes: set[tuple[int, int]] = field(default_factory=set)
    encodings: set[str] = field(default_factory=set)
    means: list[float] = field(default_factory=list)
    undecodable: list[str] = field(default_factory=list)
    reliable_ns: list[int] = field(default_factory=list)


@dataclass(frozen=True)
class Around:
    """What the graph says around a camera's topic.

    Attributes:
        topic: resolved name.
        kinds: message types that are published on it, such as `sensor_msgs/msg/Image`.
        others: every other image topic that is there.
        simulated: whether our simulation publishes it.
        step_time_s: between two decisions of the policy.
    """

    topic: str
    kinds: tuple[str, ...]
    others: Sequence[str]
    simulated: bool
    step_time_s: float


def wanted_kind(topic: str) -> str:
    """Message type that policy_node subscribes to a camera topic of this name."""
    short = "CompressedImage" if topic.endswith("/compressed") else "Image"
    return f"sensor_msgs/msg/{short}"


def check(camera: Camera, log: FrameLog, around: Around) -> list[Finding]:
    """Everything about one camera."""
    what = f"camera {camera.name}"
    absent = _absent(what, camera, log, around)
    if absent:
        return [absent]
    return [
        decodes(what, log),
        size(what, camera, log),
        *losses(what, log),
        rate(what, camera, log, around),
        age(what, log),
        *content(what, log, around.simulated),
    ]


def only_watched(finding: Finding) -> Finding:
    """The same about a camera that no policy looks through: at worst a warning."""
    if finding.level != "fail":
        return finding
    measured = f"{finding.measured} (the policy does not look through this one)"
    return replace(finding, level="warn", measured=measured)


def _absent(what: str, camera: Camera, log: FrameLog, around: Around) -> Finding | None:
    """Nothing came: because nobody is there, it is of another type, or it is silent."""
    wanted, topic = wanted_kind(camera.topic), around.topic
    if log.arrived_s:
        return None
    if not around.kinds:
        near = difflib.get_close_matches(topic, around.others, n=1, cutoff=0.3)
        there = ", ".join(around.others) or "none"
        advice = (
            f"write the driver's topic as topic: of camera {camera.name} in the robot file, or "
            f"remap it: --ros-args -r {near[0] if near else around.others[0]}:={topic}"
            if around.others
            else f"start the camera's driver so that it publishes {topic}"
        )
        measured = f"nobody publishes {topic}; image topics that are there: {there}"
        return Finding("fail", what, measured, wanted, advice)
    if wanted not in around.kinds:
        advice = (
            f"the name tells policy_node the type: topic: {topic}/compressed in the robot file "
            "reads compressed images, a name without it raw ones"
        )
        return Finding("fail", what, f"{topic} carries {', '.join(around.kinds)}", wanted, advice)
    if log.reliable_ns:
        advice = "set FASTRTPS_DEFAULT_PROFILES_FILE (above) and start the camera's driver again"
        measured = f"all of {len(log.reliable_ns)} frames lost on the way"
        return Finding("fail", what, measured, "frames, best effort", advice)
    advice = "the driver hangs: is the camera plugged in, used by another program, on a full hub?"
    return Finding("fail", what, f"a publisher on {topic}, but silent", wanted, advice)


def decodes(what: str, log: FrameLog) -> Finding:
    """Whether our decoder reads what comes."""
    return judge(
        f"{what}: encoding",
        log.undecodable[0] if log.undecodable else ", ".join(sorted(log.encodings)),
        f"one of {', '.join(images.ENCODINGS)}, JPEG or PNG",
        fail="set the driver's output: rgb_camera.color_format:=RGB8 (realsense2_camera), "
        "pixel_format:=mjpeg2rgb or yuyv2rgb (usb_cam), output_encoding:=rgb8 (v4l2_camera)"
        if log.undecodable
        else "",
    )


def size(what: str, camera: Camera, log: FrameLog) -> Finding:
    """Size of the frames against the robot file's."""
    wanted = (camera.width, camera.height)
    return judge(
        f"{what}: size",
        ", ".join(f"{w}x{h}" for w, h in sorted(log.sizes)) or "unknown",
        f"{wanted[0]}x{wanted[1]} (robot file)",
        fail=f"policy_node refuses other sizes: set the driver to {wanted[0]}x{wanted[1]}, or "
        f"width and height of camera {camera.name} in the robot file, as in the training data"
        if log.sizes != {wanted}
        else "",
    )


def rate(what: str, camera: Camera, log: FrameLog, around: Around) -> Finding:
    """Frames a second, as policy_node would get them."""
    span = log.arrived_s[-1] - log.arrived_s[0]
    hz = (len(log.arrived_s) - 1) / span if span > 0 else 0.0
    least = 1.0 / around.step_time_s
    return judge(
        f"{what}: rate",
        f"{hz:.1f} Hz",
        f"{camera.rate_hz:g} Hz (robot file), at least {least:.0f} Hz for the policy",
        fail="the policy would wait for frames: mend losses first, then exposure and USB"
        if hz < least
        else "",
        warn="mend losses first; fix the exposure (automatic exposure halves the rate in dim "
        "light), USB 3, two cameras a hub at most; in simulation: fewer processes here"
        if hz < RATE_SHARE * camera.rate_hz
        else "",
    )


def age(what: str, log: FrameLog) -> Finding:
    """Arrival minus stamp; arm_node refuses deltas that answer an old or a future picture."""
    median = float(np.median(log.age_s))
    p = ControlParams()
    refused = median > p.max_observation_age_s or median < -p.future_s
    advice = (
        "the stamps are wrong, or the computers' clocks disagree: chrony on both; usb_cam with "
        "MJPEG starts with an offset of 0.1 to 0.9 s: start it again, take yuyv, or raise "
        "max_observation_age_s of arm_node by the offset"
    )
    return judge(
        f"{what}: age of stamps",
        f"{median * 1e3:.0f} ms median at arrival",
        f"0 to {MAX_AGE_S * 1e3:.0f} ms; arm_node refuses beyond "
        f"{p.max_observation_age_s * 1e3:.0f} ms",
        fail=advice if refused else "",
        warn=advice if not -0.02 <= median <= MAX_AGE_S else "",
    )


def losses(what: str, log: FrameLog) -> list[Finding]:
    """Frames a reliable subscription got and a best-effort one did not."""
    sent = set(log.reliable_ns[:-IN_FLIGHT])
    sent = {s for s in sent if s >= min(log.stamps_ns, default=s)}
    if not sent:
        return []  # the driver itself publishes best effort: nothing to compare with
    share = len(sent - set(log.stamps_ns)) / len(sent)
    advice = (
        "start the camera's driver with FASTRTPS_DEFAULT_PROFILES_FILE set (above); over a "
        "network use compressed images"
    )
    return [
        judge(
            f"{what}: {LOST}",
            f"{share:.0%} of {len(sent)} frames",
            "none, best effort",
            fail=advice if share > LOST_FAIL else "",
            warn=advice if share > LOST_WARN else "",
        )
    ]


def content(what: str, log: FrameLog, simulated: bool) -> list[Finding]:
    """A black or a frozen picture."""
    found = []
    if log.means:
        mean = float(np.mean(log.means))
        found.append(
            judge(
                f"{what}: brightness",
                f"{mean:.0f} of 255",
                f"{DARK:.0f} to {BRIGHT:.0f}",
                fail="black: lens cap, light, exposure or gain" if mean < DARK else "",
                warn="white: lower exposure or gain" if mean > BRIGHT else "",
            )
        )
    pairs = list(itertools.pairwise(log.digests))
    repeated = sum(a == b for a, b in pairs)
    # Pixels of a real sensor never come twice; a rendered scene in which nothing moves does.
    share = repeated / len(pairs) if pairs and not simulated else 0.0
    note = " (rendered pictures have no noise)" if simulated and repeated else ""
    found.append(
        judge(
            f"{what}: repeated frames",
            f"{repeated} of {len(pairs)}{note}",
            "none",
            fail="frozen: the driver sends the same picture again and again; start it again, "
            "look at cable and hub"
            if share == 1.0
            else "",
            warn="the camera delivers fewer frames than the driver publishes: fix the exposure, "
            "or set the driver's rate to the camera's"
            if share > REPEATED_WARN
            else "",
        )
    )
    return found
