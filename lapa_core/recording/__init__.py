# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""Episodes on disk: raw MCAP bags that any ROS tool opens, none lost. No torch, no ROS.

episode    what `episode.yaml` says of one episode, and its reading and writing
folders    where episodes lie: `episode_NNNN`, and under another name until complete
bag        writes one MCAP file and its metadata.yaml so that a crash costs half a second
recover    rebuilds a bag that a crash has cut short
status     what the recorder says of itself while it runs
"""
