"""House rules that no linter knows: faces, private modules, and what the repository may say."""

from __future__ import annotations

import ast
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = (
    ROOT / "src" / "frugal_chains",
    ROOT / "integrations" / "langchain-frugal" / "src" / "langchain_frugal",
    ROOT / "integrations" / "llama-index-frugal" / "src" / "llama_index_frugal",
)
FACES = [face for package in PACKAGES for face in sorted(package.rglob("__init__.py"))]


@pytest.mark.parametrize("face", FACES, ids=lambda p: p.parent.name)
def test_a_face_says_what_its_room_is_and_names_what_it_shows(face: Path) -> None:
    # That the names are sorted is ruff's to check (RUF022).
    tree = ast.parse(face.read_text(encoding="utf-8"))
    assert ast.get_docstring(tree)
    assigned = [getattr(n.targets[0], "id", "") for n in tree.body if isinstance(n, ast.Assign)]
    assert "__all__" in assigned


@pytest.mark.parametrize("package", PACKAGES, ids=lambda p: p.name)
def test_every_distribution_is_typed(package: Path) -> None:
    assert (package / "py.typed").exists()


@pytest.mark.parametrize("package", PACKAGES, ids=lambda p: p.name)
def test_rooms_use_each_other_through_their_faces(package: Path) -> None:
    """No module reaches into the private modules of another room."""
    wrong = []
    for module in package.rglob("*.py"):
        room = module.relative_to(package).parts[0]
        for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.module:
                parts = node.module.split(".")
                private = [i for i, part in enumerate(parts) if part.startswith("_")]
                ours = parts[0] == package.name
                if private and (not ours or (len(parts) > 2 and parts[1] != room)):
                    wrong.append(f"{module.name}: {node.module}")
    assert [w for w in wrong if "frugal" in w] == []


@pytest.mark.parametrize("package", PACKAGES, ids=lambda p: p.name)
def test_no_log_repeats_what_an_error_says(package: Path) -> None:
    """That may be a prompt or a key: tracebacks are logged by `errors.wordless`."""
    wrong = [
        f"{module.name}:{number}"
        for module in package.rglob("*.py")
        for number, line in enumerate(module.read_text(encoding="utf-8").splitlines(), 1)
        if "exc_info=True" in line or "logger.exception(" in line
    ]
    assert wrong == []


def test_nothing_heavy_is_tracked() -> None:
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if listed.returncode:
        pytest.skip("not a git checkout: there is no list of tracked files to look through")
    files = [ROOT / name for name in listed.stdout.split("\0") if name]
    assert not [f.name for f in files if f.name == "uv.lock" or f.suffix in (".gguf", ".db")]
    assert not [f.name for f in files if f.exists() and f.stat().st_size > 1_000_000]
