# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""Trials through the real nodes: simulated ones by themselves, real ones with a person.

link       the arm and the policy as an evaluation uses them
simulated  the suite's trials in sim_node, one after the other
"""
