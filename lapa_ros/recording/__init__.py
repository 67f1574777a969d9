# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""The ROS half of recording: which topics, how they are subscribed, what the facts are.

plan     a robot -> the topics to record, and what is expected of each
intake   raw subscriptions that follow the publishers' quality of service
watch    the audit fed by what arrives: lights, findings, counts
facts    task, policy, who moves the arm: what episode.yaml says beside the bag
"""
