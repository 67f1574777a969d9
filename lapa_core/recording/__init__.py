# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""Episodes on disk: raw MCAP bags that any ROS tool opens, none lost. No torch, no ROS.

episode    what `episode.yaml` says of one episode, and its reading and writing
folders    where episodes lie: `episode_NNNN`, and under another name until complete
bag        writes one MCAP file and its metadata.yaml so that a crash costs half a second
           (mcap_writer, mcap_chunk: the file; syncer, disk: how it gets to disk)
metadata   rosbag2's `metadata.yaml`, version 9
definitions  the text that defines a message type, from the robot's packages
recover    rebuilds a bag that a crash has cut short (scan, survey, recovered)
status     what the recorder says of itself while it runs
"""
