"""Make .venv and install the pinned packages: python3 supervisor/install.py run | dev

Runs before anything is installed, so it imports nothing but the standard library.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
STAMP = VENV / "installed.json"  # which content of which file is installed
FILES = {"run": "requirements.txt", "dev": "requirements-dev.txt"}
INCLUDED = {"run": ("run",), "dev": ("dev", "run")}  # dev is pinned to the same and adds to it
PIP = ("-m", "pip", "--disable-pip-version-check", "--no-input")


def main(kind: str) -> None:
    wanted = {name: _digest(FILES[name]) for name in INCLUDED[kind]}
    stamp = _stamp()
    if PYTHON.exists() and wanted.items() <= stamp.items():
        return
    _make_venv()
    print(f"Installing {FILES[kind]} into .venv: one to three minutes ...", flush=True)
    if _pip("install", "-qq", "--require-hashes", "-r", str(ROOT / FILES[kind])) != 0:
        sys.exit("The packages could not be installed: see above. Is the package index in reach?")
    STAMP.write_text(json.dumps(stamp | wanted) + "\n")
    print("Installed.")


def _make_venv() -> None:
    if PYTHON.exists() and _pip("--version", stdout=subprocess.DEVNULL) == 0:
        return
    if find_spec("venv") is None or find_spec("ensurepip") is None:
        sys.exit("This Python cannot make virtual environments: apt install python3-venv")
    print("Making .venv ...", flush=True)
    subprocess.run([sys.executable, "-m", "venv", "--clear", VENV], check=True)


def _pip(*words: str, stdout: int | None = None) -> int:
    return subprocess.run([PYTHON, *PIP, *words], check=False, stdout=stdout).returncode


def _stamp() -> dict[str, str]:
    try:
        return dict(json.loads(STAMP.read_text()))
    except (OSError, ValueError):
        return {}


def _digest(name: str) -> str:
    return hashlib.sha256((ROOT / name).read_bytes()).hexdigest()


if __name__ == "__main__":
    main(sys.argv[1])
