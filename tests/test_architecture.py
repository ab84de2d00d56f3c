"""The layers, the torch-free zone and the public names, as the design has them."""

from __future__ import annotations

import ast
import importlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import exactune

ROOT = Path(exactune.__file__).parent
LAYERS = [
    {
        "errors",
        "types",
        "language",
        "config",
        "layers",
        "durable",
        "ranks",
        "stop",
        "rundir",
        "rules",
        "verdicts",
        "quiet",
    },
    {"tasks", "data", "bases", "recipes"},
    {"render", "quotes", "collapse"},
    {"checks", "infer"},
    {"train", "evaluate", "diagnose"},
    {"report", "environment", "export"},
    {
        "plan",
        "probing",
        "apply",
        "checking",
        "draft",
        "describe",
        "record",
        "resume",
        "pipeline",
        "mend",
        "exporting",
        "objective",
        "parent",
        "used",
        "estimate",
    },
    {"studies"},
    {"cli"},
]
LEVEL = {name: level for level, names in enumerate(LAYERS) for name in names}
# A layer may be used inside its own level only here: files of the vocabulary, a recipe's base, the pipeline's stages.
SAME_LEVEL = {0, 6}
SAME_LEVEL_PAIRS = {("recipes", "bases")}
TORCH_FREE = {"errors", "types", "language", "config", "layers", "durable", "ranks", "stop", "rundir", "rules",
              "quiet", "verdicts", "tasks", "data", "bases", "recipes", "checks", "report", "environment", "checking",
              "draft", "cli", "quotes", "collapse", "mend", "diagnose"}  # fmt: skip
HEAVY = {"torch", "transformers", "trl", "peft", "datasets", "accelerate", "sklearn", "scipy", "pandas", "pyarrow"}


def modules() -> Iterator[tuple[str, Path]]:
    for path in sorted(ROOT.rglob("*.py")):
        top = path.relative_to(ROOT).parts[0].removesuffix(".py")
        if top != "__init__":
            yield top, path


def imports(path: Path, *, inside_functions: bool = True) -> Iterator[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    nodes = ast.walk(tree) if inside_functions else tree.body
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            yield node.module or ""


def test_every_module_has_a_layer() -> None:
    assert {top for top, _ in modules()} == set(LEVEL)


@pytest.mark.parametrize(
    ("top", "path"), [pytest.param(*item, id=str(item[1].relative_to(ROOT))) for item in modules()]
)
def test_a_layer_imports_only_those_above_it(top: str, path: Path) -> None:
    for name in imports(path):
        if not name.startswith("exactune."):
            continue
        other = name.split(".")[1]
        allowed = (
            other == top
            or LEVEL[other] < LEVEL[top]
            or (LEVEL[other] == LEVEL[top] and LEVEL[top] in SAME_LEVEL)
            or (top, other) in SAME_LEVEL_PAIRS
        )
        assert allowed, f"{path.relative_to(ROOT)} ({top}) imports {name}"


def test_only_one_file_imports_trl() -> None:
    users = [path for _, path in modules() if any(name.split(".")[0] == "trl" for name in imports(path))]
    assert [str(path.relative_to(ROOT)) for path in users] == ["train/methods.py"]


@pytest.mark.parametrize("top", sorted(TORCH_FREE))
def test_the_torch_free_zone_never_imports_torch_at_the_top(top: str) -> None:
    names = [name for own, path in modules() if own == top for name in imports(path, inside_functions=False)]
    assert not {name.split(".")[0] for name in names} & HEAVY


@pytest.mark.parametrize(
    "command",
    [
        ["--help"],
        ["explain", "D101"],
        ["train", "--help"],
        ["init", "--help"],
        ["check", "rows.jsonl"],
        ["check", "rows.jsonl", "--html", "page.html"],
        ["check", "rows.jsonl", "--fix", "-o", "fixed"],
        ["--lang", "zh-TW", "check", "rows.jsonl"],
        ["report", "absent"],
        ["diagnose", "absent"],
    ],
    ids=lambda command: " ".join(command),
)
def test_commands_that_need_no_model_import_no_torch(command: list[str], tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_text('{"text": "a", "label": "b"}\n{"text": "b", "label": "c"}\n', encoding="utf-8")
    script = (
        "import sys\nfrom exactune.cli import main\n"
        f"sys.argv = ['exactune', *{command!r}]\n"
        "try:\n    main()\nexcept SystemExit as stop:\n    code = stop.code\n"
        f"heavy = sorted({HEAVY!r} & set(sys.modules))\nprint('HEAVY', heavy, file=sys.stderr)\nsys.exit(bool(heavy))"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_the_public_names() -> None:
    assert sorted(exactune.__all__) == ["Config", "__version__", "check", "evaluate", "load", "predict", "train"]
    for name in exactune.__all__:
        assert getattr(exactune, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'fit'"):
        _ = exactune.fit


def test_public_names_stay_functions_after_every_import() -> None:
    for name in ("exactune.train.fit", "exactune.evaluate.evaluation", "exactune.checks", "exactune.data.load"):
        importlib.import_module(name)
    assert all(callable(getattr(exactune, name)) for name in ("check", "evaluate", "load", "predict", "train"))


def test_each_modules_public_names_exist() -> None:
    for _, path in modules():
        dotted = ".".join(("exactune", *path.relative_to(ROOT).with_suffix("").parts)).removesuffix(".__init__")
        module = importlib.import_module(dotted)
        for name in getattr(module, "__all__", ()):
            assert hasattr(module, name), f"{dotted}.{name}"
