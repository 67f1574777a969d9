# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""Recorded demonstrations in the formats of others; the formats are in docs/formats.md.

source      which episodes and steps are exported: those that training would read
folder      the folder that is written: whole under its name, or resumable beside it
reference   the reference's JSON and pictures
lerobot     a LeRobot dataset v3.0, of pieces, one an episode
piece       such a piece: videos and numbers of one episode
layout      which file of the dataset holds what, and its `info.json`
tables      its parquet files
moments     its statistics
video       its videos
"""
