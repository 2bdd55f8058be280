"""Imports go one way, modules stay small: the structure of DESIGN as a test."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "node"
ISLANDS = {"dicom", "crypto", "mark", "spool", "audit"}
STAGES = {
    "receive", "process", "seal", "forward", "verify", "reap", "worker",
    "sealing", "retrieval", "aftercare", "accounts", "operating",
}  # fmt: skip
RULES = {"routing", "retry", "config"}
GROUND = {"types", "errors", "log", "failpoint"}
LEVELS = [GROUND, RULES | ISLANDS, STAGES, {"wiring", "proxy"}, {"cli", "web"}]
FENCES = {
    "pynetdicom": {"dicom"},
    "pydicom": {"dicom"},
    "requests": {"dicom/web"},
    "urllib3": {"dicom/web"},
    "dicomweb_client": {"dicom/web"},
    "pywt": {"mark"},
    "zfec": {"mark", "crypto/shares"},
    "cryptography": {"crypto", "audit/checkpoint", "mark/digests"},
    "pkcs11": {"crypto/token"},
    "apsw": {"spool"},
    "psycopg": {"spool/postgres"},
    "boto3": {"spool/s3"},
    "structlog": None,
}
CEILING = 400  # lines of a module
MODULES = sorted(PACKAGE.rglob("*.py"))


def place(path: Path) -> str:
    """Return the part that a module belongs to: its package, or its own name."""
    relative = path.relative_to(PACKAGE)
    return relative.parts[0].removesuffix(".py")


def imports(path: Path) -> list[str]:
    found = []
    for item in ast.walk(ast.parse(path.read_text())):
        if isinstance(item, ast.Import):
            found += [alias.name for alias in item.names]
        elif isinstance(item, ast.ImportFrom):
            assert item.level == 0, f"{path}: relative import"
            module = item.module or ""
            if module == "node":
                found += [f"node.{alias.name}" for alias in item.names]
            else:
                found.append(module)
    return found


def level(part: str) -> int:
    return next(n for n, parts in enumerate(LEVELS) if part in parts)


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(ROOT)))
def test_a_module_imports_only_what_lies_below_it(path):
    here = place(path)
    if here == "__init__":
        assert not [name for name in imports(path) if name.startswith("node")]
        return
    for name in imports(path):
        if not name.startswith("node.") or name == "node.__version__":
            continue
        there = name.split(".")[1]
        if there == here:
            continue
        if here in ISLANDS:
            assert there in GROUND, f"{path}: island {here} imports {name}"
        elif here in RULES:
            assert there in GROUND | RULES, f"{path}: {here} imports {name}"
        else:
            assert level(there) <= level(here), f"{path}: {here} imports {name} above it"


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(ROOT)))
def test_each_library_is_imported_only_behind_its_fence(path):
    relative = str(path.relative_to(PACKAGE)).removesuffix(".py")
    for name in imports(path):
        allowed = FENCES.get(name.split(".")[0])
        if allowed is not None:
            within = [fence for fence in allowed if f"{relative}/".startswith(f"{fence}/")]
            assert within, f"{path} imports {name}"


def test_stages_name_no_concrete_backend():
    backends = {"node.spool.sqlite", "node.spool.disk", "node.spool.memory", "node.spool.postgres",
                "node.crypto.keyring", "node.audit.log"}  # fmt: skip
    for path in MODULES:
        if place(path) in STAGES:
            assert not backends & set(imports(path)), f"{path} names a backend"


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(ROOT)))
def test_a_module_stays_under_the_ceiling_and_says_what_it_is(path):
    text = path.read_text()
    assert len(text.splitlines()) <= CEILING
    assert ast.get_docstring(ast.parse(text)), f"{path} has no docstring"
    assert path.stem not in {"utils", "helpers", "common", "misc"}


def test_only_the_worker_catches_everything():
    for path in MODULES:
        if path.name == "worker.py":
            continue
        for item in ast.walk(ast.parse(path.read_text())):
            if isinstance(item, ast.ExceptHandler):
                caught = ast.unparse(item.type) if item.type else "everything"
                assert caught not in {"everything", "Exception", "BaseException"}, path
