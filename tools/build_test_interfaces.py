# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""Build the message packages in `test/interfaces`, which no wheel carries, for the tests alone.

    python tools/build_test_interfaces.py [--if-possible]

Each package gets a folder of its own, `.venv/lapa_interfaces/<Python>-<package>-<hash>`, named
by its content: what is built already is left alone, and what has changed is built anew. Without
a C++ compiler nothing can be built; with `--if-possible` that is said and is no error, and the
tests that need the messages are skipped.

ROS 2 from wheels needs the extra `interfaces` (see setup.cfg); ROS 2 from apt brings everything
but the compiler, and must be sourced.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import time
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent
SOURCES = REPOSITORY / "test" / "interfaces"
DONE = ".complete"
# The wheels' exported CMake files carry the include folders of the machine that packed them.
PACKED_PREFIX = "/opt/python/"
# Libraries find each other, and the Python modules find the libraries, wherever the folder lies:
# a test process cannot change its own LD_LIBRARY_PATH. (apt's layout is a folder deeper.)
RPATH = "$ORIGIN;$ORIGIN/../../..;$ORIGIN/../../../..;$ORIGIN/../../../../../lib"


class BuildError(Exception):
    """Something the build needs is not here, or it failed; the text says what to do."""


def packages() -> list[Path]:
    """Source folders of all packages, by name."""
    return sorted(p.parent for p in SOURCES.glob("*/package.xml"))


def ros_from_wheels() -> bool:
    """Whether ROS 2 lies in this interpreter's own prefix instead of a sourced install."""
    return not os.environ.get("ROS_DISTRO")


def prefix(package: Path) -> Path:
    """Folder a package is, or would be, installed to."""
    digest = hashlib.sha256(f"{sys.version_info[:2]} {os.environ.get('ROS_DISTRO')}".encode())
    digest.update(Path(__file__).read_bytes())
    for file in sorted(p for p in package.rglob("*") if p.is_file()):
        digest.update(str(file.relative_to(package)).encode() + b"\0" + file.read_bytes())
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    name = f"{python}-{package.name}-{digest.hexdigest()[:12]}"
    return Path(sys.prefix) / "lapa_interfaces" / name


def built(package: Path) -> bool:
    """Whether a package is installed in its present state."""
    return (prefix(package) / DONE).exists()


def build(package: Path) -> None:
    """Configure, compile and install one package.

    Raises:
        BuildError: with the end of the tool's output.
    """
    target = prefix(package)
    target.parent.mkdir(parents=True, exist_ok=True)
    # Beside the target, so that the rename at the end is one step: a build that is broken off,
    # or runs twice at once, never looks complete.
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".build-") as work:
        staged, tree = Path(work) / "install", Path(work) / "build"
        env = _environment()
        # The temporary folder ends up in no file that is used later: imports go by RPATH.
        _run([_tool("cmake"), "-S", str(package), "-B", str(tree), *_options(staged)], env)
        _run([_tool("cmake"), "--build", str(tree), "--target", "install"], env)
        (staged / DONE).touch()
        for old in target.parent.glob(f"*-{package.name}-*"):
            shutil.rmtree(old, ignore_errors=True)
        staged.rename(target)


def _environment() -> dict[str, str]:
    if not ros_from_wheels():
        return dict(os.environ)
    ros = sys.prefix
    search = [f"{ros}/lib", os.environ.get("LD_LIBRARY_PATH", "")]
    return {
        **os.environ,
        "AMENT_PREFIX_PATH": ros,
        "CMAKE_PREFIX_PATH": ros,
        "LD_LIBRARY_PATH": os.pathsep.join(p for p in search if p),
        "PATH": os.pathsep.join([f"{ros}/bin", os.environ["PATH"]]),
    }


def _options(staged: Path) -> list[str]:
    options = [
        f"-DCMAKE_INSTALL_PREFIX={staged}",
        f"-DCMAKE_INSTALL_RPATH={RPATH}",
        "-DCMAKE_BUILD_TYPE=MinSizeRel",
        "-DBUILD_TESTING=OFF",
        "-DCMAKE_POLICY_VERSION_MINIMUM=3.5",  # CMake 4 refuses the older minimum of some
        f"-DPython3_EXECUTABLE={sys.executable}",
        f"-DPYTHON_EXECUTABLE={sys.executable}",
    ]
    if ros_from_wheels():
        options += ["-DPython3_FIND_VIRTUALENV=ONLY"]
    if _found("ninja"):
        options += ["-GNinja", f"-DCMAKE_MAKE_PROGRAM={_tool('ninja')}"]
    return options


def _found(tool: str) -> str | None:
    path = os.pathsep.join([str(Path(sys.prefix) / "bin"), os.environ["PATH"]])
    return shutil.which(tool, path=path)


def _tool(tool: str) -> str:
    if found := _found(tool):
        return found
    raise BuildError(f"{tool} is not installed: pip install -e '.[interfaces]', or apt's {tool}")


def _check_tools() -> None:
    if not (_found("c++") or _found("g++") or os.environ.get("CXX")):
        raise BuildError("no C++ compiler is installed (on Debian and Ubuntu: apt's g++)")
    _tool("cmake")
    if ros_from_wheels() and not (Path(sys.prefix) / "share" / "ament_cmake").is_dir():
        raise BuildError("the build wheels are not installed: pip install -e '.[interfaces]'")


def _mend_wheels() -> None:
    """Point the wheels' exported CMake files at this interpreter's headers and NumPy's."""
    import numpy

    for file in (Path(sys.prefix) / "share").glob("*/cmake/*.cmake"):
        text = file.read_text(encoding="utf-8", errors="surrogateescape")
        if PACKED_PREFIX not in text:
            continue
        parts = [_mended(p, numpy.get_include()) for p in text.split(";")]
        file.write_text(";".join(parts), encoding="utf-8", errors="surrogateescape")


def _mended(part: str, numpy_include: str) -> str:
    """One entry of a CMake list, which may have text around it."""
    begin = part.find(PACKED_PREFIX)
    if begin < 0:
        return part
    end = next((i for i in range(begin, len(part)) if part[i] in '" )\n'), len(part))
    ours = numpy_include if "/numpy/" in part[begin:end] else sysconfig.get_path("include")
    return part[:begin] + ours + part[end:]


def _run(command: list[str], env: dict[str, str]) -> None:
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    if done.returncode:
        output = "\n".join((done.stdout + done.stderr).splitlines()[-40:])
        raise BuildError(f"{' '.join(command)} failed with {done.returncode}:\n{output}")


def main() -> int:
    """Build what is not there yet; the exit code is 0 when all of it is, or need not be."""
    parser = argparse.ArgumentParser(description="build the message packages of the tests")
    parser.add_argument(
        "--if-possible", action="store_true", help="without a compiler, say so and succeed"
    )
    arguments = parser.parse_args()
    missing = [p for p in packages() if not built(p)]
    if not missing:
        print("interfaces: up to date")
        return 0
    try:
        _check_tools()
    except BuildError as error:
        print(f"interfaces: not built, their tests will be skipped: {error}", file=sys.stderr)
        return 0 if arguments.if_possible else 1
    if ros_from_wheels():
        _mend_wheels()
    for package in missing:
        begin = time.monotonic()
        print(f"interfaces: building {package.name} for the tests (about half a minute)")
        try:
            build(package)
        except BuildError as error:
            print(f"interfaces: {package.name}: {error}", file=sys.stderr)
            return 1
        print(f"interfaces: {package.name} built in {time.monotonic() - begin:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
