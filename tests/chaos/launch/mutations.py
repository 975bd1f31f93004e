"""Bugs and provocations for a house, put into its modules as they are imported.

The product knows nothing of this: a house has bugs only when it is started with this directory on
its PYTHONPATH and their names in the environment. A bug is what must be caught; a provocation
(its name begins with "when") only makes the moment likely in which the bug would do harm, and a
healthy house bears it.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from types import ModuleType
from typing import Any

HERE = Path(__file__).resolve().parent
NAMES = "CHAOS_MUTATIONS"
Patch = Callable[[Any], None]


def environment(names: Iterable[str]) -> dict[str, str]:
    """What a house must find in its environment to have these."""
    listed = ",".join(names)
    return {NAMES: listed, "PYTHONPATH": str(HERE)} if listed else {}


def told() -> list[str]:
    """What this process was told to break."""
    return [name for name in os.environ.get(NAMES, "").split(",") if name]


def install(names: Iterable[str]) -> None:
    """Patch the modules that are imported from now on."""
    patches: dict[str, list[Patch]] = {}
    for name in names:
        for module, patch in MUTATIONS[name].items():
            patches.setdefault(module, []).append(patch)
    if patches:
        sys.meta_path.insert(0, _Finder(patches))


class _Finder(MetaPathFinder):
    def __init__(self, patches: dict[str, list[Patch]]) -> None:
        self._patches = patches

    def find_spec(
        self, name: str, path: Any, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if name not in self._patches:
            return None
        spec = PathFinder.find_spec(name, path)
        if spec is None or spec.loader is None:
            return None
        execute, patches = spec.loader.exec_module, self._patches[name]

        def exec_module(module: ModuleType) -> None:
            execute(module)
            for patch in patches:
                patch(module)

        spec.loader.exec_module = exec_module  # type: ignore[method-assign]
        return spec


MUTATIONS: dict[str, dict[str, Patch]] = {}
