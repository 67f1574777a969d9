# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""A page in the browser: the robot in 3-D, camera pictures, lights. No ROS, no torch.

space      what is drawn and where: colours, workspace box, table, predicted path; numbers only
shapes     an arm's URDF as shapes on links, placed by joint positions
scene      those in viser
pictures   camera pictures small enough for a page
html       text and lights of the side panels, escaped
admission  which request may come in: Host, Origin, token
token      where the token comes from and is kept
gate       the only port: checks every connection, then passes it on
page       viser behind the gate
playback   the clock of a recording that is played
episode    a recorded episode as arrays, read from its bag
player     `lapa view`: an episode on a page
"""
