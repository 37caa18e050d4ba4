"""The build backend of quash-verify and quash: maturin, which must not download a Rust toolchain unasked."""

import os
import shutil
from typing import Any

os.environ.setdefault("MATURIN_NO_INSTALL_RUST", "1")

import maturin
from maturin import build_sdist, get_requires_for_build_sdist, prepare_metadata_for_build_wheel

__all__ = [
    "build_editable",
    "build_sdist",
    "build_wheel",
    "get_requires_for_build_editable",
    "get_requires_for_build_sdist",
    "get_requires_for_build_wheel",
    "prepare_metadata_for_build_editable",
    "prepare_metadata_for_build_wheel",
]

prepare_metadata_for_build_editable = prepare_metadata_for_build_wheel


def get_requires_for_build_wheel(config_settings: Any = None) -> list[str]:
    """Fails early and clearly: without cargo, maturin's own error is about a missing program."""
    if shutil.which("cargo") is None:
        raise SystemExit(
            "building this package from source needs Rust (cargo isn't in PATH) and a C compiler: install them from"
            " https://rustup.rs and your system's packages, or install a wheel for your platform"
        )
    return list(maturin.get_requires_for_build_wheel(config_settings))


get_requires_for_build_editable = get_requires_for_build_wheel
build_wheel = maturin.build_wheel
build_editable = maturin.build_editable
