"""The secrets of this checkout, made once. Nothing else in the house has a default secret."""

from __future__ import annotations

import base64
import os
import secrets
from collections.abc import Mapping
from pathlib import Path


def new_secrets() -> dict[str, str]:
    """CREDENTIAL_KEYS is a Fernet key; a list of them, newest first, is how one is changed."""
    return {
        "SECRET_KEY": secrets.token_urlsafe(50),
        "CREDENTIAL_KEYS": base64.urlsafe_b64encode(os.urandom(32)).decode(),
    }


def kept_secrets(path: Path) -> dict[str, str]:
    kept = read_env(path)
    missing = {name: value for name, value in new_secrets().items() if name not in kept}
    if missing:
        kept |= missing
        write_env(path, kept)
    return kept


def read_env(path: Path) -> dict[str, str]:
    try:
        lines = path.read_text().splitlines()
    except FileNotFoundError:
        return {}
    pairs = (line.partition("=") for line in lines if "=" in line and not line.startswith("#"))
    return {name.removeprefix("export ").strip(): _bare(value) for name, _, value in pairs}


def write_env(path: Path, values: Mapping[str, str]) -> None:
    """Whole or not at all, and never readable by others, not even for a moment."""
    half = path.with_suffix(".half")
    half.unlink(missing_ok=True)
    with os.fdopen(os.open(half, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as out:
        out.writelines(f"{name}={value}\n" for name, value in values.items())
    half.replace(path)


def _bare(value: str) -> str:
    value = value.strip()
    quoted = len(value) > 1 and value[0] == value[-1] and value[0] in "\"'"
    return value[1:-1] if quoted else value
