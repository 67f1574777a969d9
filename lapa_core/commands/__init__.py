# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""One module a sub-command of `lapa`; they read arguments, call the library and print."""
