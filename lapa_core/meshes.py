# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""Makes any arm's URDF readable for MuJoCo: pictures out, collision meshes found and read.

MuJoCo names a mesh by its file's name without the folder and takes the first of two that are
called alike; here every mesh gets a name of its own. It sees a mesh as its convex hull.
"""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from pathlib import Path

from lapa_core.errors import ConfigError, unknown
from lapa_core.paths import IN_PACKAGE, in_package

SUFFIXES = (".stl", ".obj")
FILE = "file://"
# For links that move but have no mass and no shape, as some URDFs put between two joints.
TINY_MASS_KG, TINY_INERTIA_KG_M2 = "0.001", "0.000001"


def for_mujoco(urdf: str, source: str) -> tuple[str, dict[str, bytes]]:
    """The text for MuJoCo and the mesh files it names.

    Args:
        urdf: with every macro expanded.
        source: file it came from; meshes with a relative path are looked for beside it.

    Raises:
        ConfigError: a mesh is missing, or is of a kind that cannot be read here.
    """
    root = ElementTree.fromstring(urdf)
    for link in root.findall("link"):
        for picture in link.findall("visual"):
            if picture.find("geometry/mesh") is not None:
                link.remove(picture)  # a plain one stays: MuJoCo takes its colour alone
    assets: dict[str, bytes] = {}
    for number, mesh in enumerate(root.iter("mesh")):
        path = mesh_file(mesh.get("filename", ""), source)
        name = f"{number}_{path.stem}{path.suffix.lower()}"
        assets[name] = path.read_bytes()
        mesh.set("filename", name)
    _set_compiler(root)
    return ElementTree.tostring(root, encoding="unicode"), assets


def mesh_file(name: str, source: str) -> Path:
    """Where the mesh `name` of a URDF lies: `package://`, `file://`, absolute or relative.

    Packages are looked for as ROS does, in `<prefix>/share` of every prefix in
    AMENT_PREFIX_PATH; no ROS is needed for that.

    Raises:
        ConfigError: naming the file, what is valid and what to do.
    """
    where = f"{source}: mesh {name!r}"
    if name.startswith(IN_PACKAGE):
        path = in_package(name, where)
    elif name.startswith(FILE):
        path = Path(name.removeprefix(FILE))
    elif "://" in name:
        raise ConfigError(f"{where}: valid: {IN_PACKAGE}<package>/..., {FILE}/... or a path")
    else:
        path = Path(source).parent / name
    if path.suffix.lower() not in SUFFIXES:
        raise ConfigError(
            f"{unknown('kind of mesh', path.suffix, SUFFIXES, where)}; convert the file, or give "
            "<collision> a box, cylinder or sphere (<visual> may stay, it is not read)"
        )
    if not path.is_file():
        raise ConfigError(f"{where}: no file at {path}")
    return path


def _set_compiler(root: ElementTree.Element) -> None:
    """Settings for reading; those a URDF brings along for MuJoCo itself stay where they can."""
    extension = root.find("mujoco")
    if extension is None:
        extension = ElementTree.SubElement(root, "mujoco")
    compiler = extension.find("compiler")
    if compiler is None:
        compiler = ElementTree.SubElement(extension, "compiler")
    compiler.set("strippath", "true")  # meshes have names, not paths
    compiler.attrib.pop("meshdir", None)
    # Exported inertias often break the triangle rule a little; they matter to the twin alone.
    compiler.set("balanceinertia", "true")
    if _moves_without_mass(root):
        compiler.set("boundmass", TINY_MASS_KG)
        compiler.set("boundinertia", TINY_INERTIA_KG_M2)


def _moves_without_mass(root: ElementTree.Element) -> bool:
    """Whether a link behind a movable joint has neither mass nor shape of its own."""
    bare = {
        link.get("name")
        for link in root.findall("link")
        if link.find("inertial") is None and link.find("collision") is None
    }
    movable = [joint for joint in root.findall("joint") if joint.get("type") != "fixed"]
    return any(child.get("link") in bare for joint in movable for child in joint.findall("child"))
