# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""Which links of an arm move as one piece, and which pieces can never be told apart by distance.

Said once, for the filter that keeps an arm from colliding and for the simulation that shows it
when two links touch after all.
"""

from __future__ import annotations

from itertools import combinations

from lapa_core.description import FIXED, Description


def rigid_groups(description: Description) -> dict[str, str]:
    """Every link -> the first link of its rigid group, the one nearest to the base.

    Links joined by fixed joints are one group. The gripper's motor counts as fixed: the
    propeller on it turns inside the housing, and its angle follows from the finger.

    Args:
        description: with or without a prefix; the names returned are those of its links.
    """
    motor = description.linkage.joint if description.linkage else ""
    first: dict[str, str] = {}

    def group(link: str) -> str:
        if link not in first:
            above = description.parents.get(link)
            held = above is not None and (above.kind == FIXED or above.joint == motor)
            first[link] = group(above.link) if above is not None and held else link
        return first[link]

    return {link: group(link) for link in description.links}


def neighbours(description: Description) -> set[frozenset[str]]:
    """Pairs of group names whose shapes may overlap without anything being wrong.

    These are groups joined by one movable joint, whose covers meet at the joint, and all groups
    of one mechanism, which are those moved by joints that mimic each other and those that carry
    them: the two fingers of a gripper touch whenever it closes on nothing.
    """
    groups = rigid_groups(description)
    pairs: set[frozenset[str]] = set()
    mechanisms: dict[str, set[str]] = {}
    for link, above in description.parents.items():
        ends = {groups[link], groups[above.link]}
        if len(ends) == 2:
            pairs.add(frozenset(ends))
            mechanisms.setdefault(description.leader(above.joint)[0], set()).update(ends)
    for members in mechanisms.values():
        pairs |= {frozenset(pair) for pair in combinations(members, 2)}
    return pairs
