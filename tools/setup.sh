#!/bin/sh
# Makes .venv with everything the demo and the tests need, and says what it does.
# Run again it does nothing unless setup.cfg, constraints.txt or this file has changed; then it brings
# .venv up to date, or makes it anew for another Python or ROS.
#
#   PYTHON    the interpreter to use (default python3; 3.10 to 3.13)
#   PIP_ARGS  more arguments for pip, such as an index that carries the CPU build of torch
set -eu
cd "$(dirname "$0")/.."
PYTHON=${PYTHON:-python3}
say() { echo "setup: $*"; }

as_root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi; }
need_apt() { # package, reason
    say "installing apt package $1: $2"
    command -v apt-get >/dev/null || { say "no apt-get here: install $1 by hand"; exit 1; }
    [ -n "${apt_updated:-}" ] || { as_root apt-get update -qq; apt_updated=1; }
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$1"
}
any_of() { for file in "$@"; do [ ! -e "$file" ] || return 0; done; return 1; }
has_library() { ldconfig -p 2>/dev/null | grep -q "$1" || /sbin/ldconfig -p | grep -q "$1"; }

command -v "$PYTHON" >/dev/null || need_apt python3 "to run anything"
"$PYTHON" -c 'import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 13))' || {
    say "Python 3.10 to 3.13 is needed, $PYTHON is $("$PYTHON" -V)"; exit 1; }
"$PYTHON" -c 'import venv, ensurepip' 2>/dev/null || need_apt python3-venv "creates .venv"
has_library libEGL.so.1 || need_apt libegl1 "MuJoCo renders the cameras through EGL"
any_of /dev/nvidia0 /usr/share/glvnd/egl_vendor.d/*mesa* || need_apt libegl-mesa0 "EGL without a GPU"
has_library libGL.so.1 || need_apt libgl1 "MuJoCo loads OpenGL from it"
any_of /dev/nvidia0 /usr/lib/*/dri/swrast_dri.so /usr/lib/*/libgallium*.so ||
    need_apt libgl1-mesa-dri "renders without a GPU"

# A sourced ROS 2 brings its own rclpy; elsewhere it comes from wheels.
if [ -n "${ROS_DISTRO:-}" ] && "$PYTHON" -c 'import rclpy' 2>/dev/null; then
    ros="apt ($ROS_DISTRO)"; venv_args=--system-site-packages; extras=dev,train
else
    ros="wheels (Jazzy)"; venv_args=; extras=dev,train,ros-wheels
    # What builds the tests' own messages is of use only where there is a compiler.
    if command -v c++ >/dev/null || command -v g++ >/dev/null; then extras=$extras,interfaces
    else say "no C++ compiler: tests that need Interbotix' or MoveIt's messages will be skipped"
    fi
fi
if command -v chromium >/dev/null || command -v chromium-browser >/dev/null ||
    command -v google-chrome >/dev/null; then extras=$extras,browser
else say "no Chromium: the tests that drive the dashboard in a browser will be skipped"
fi

stamp=.venv/.lapa_setup
base="$("$PYTHON" -V), ROS 2 from $ros"
want="$base $extras $(cat setup.cfg constraints.txt tools/setup.sh | cksum)"
if [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$want" ]; then
    say "up to date ($ros)"
    exit 0
fi
# Another Python or ROS needs a new one; anything else pip brings up to date in place, so that what
# runs in .venv meanwhile (a training of hours) goes on.
if [ -f "$stamp" ] && grep -qF "$base " "$stamp" && .venv/bin/python -c '' 2>/dev/null; then
    say "bringing .venv up to date ($base)"
else
    say "creating .venv with $base"
    "$PYTHON" -m venv --clear $venv_args .venv
fi
say "installing Python packages (versions from constraints.txt; torch is the large one)"
# shellcheck disable=SC2086
.venv/bin/python -m pip install --quiet --disable-pip-version-check ${PIP_ARGS:-} \
    -c constraints.txt -e ".[$extras]"
echo "$want" > "$stamp"
say "done; activate with: . .venv/bin/activate"
