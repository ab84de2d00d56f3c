"""Does the diagnosis find what is wrong? Runs made sick on purpose, and healthy ones.

Usage: ``python benchmarks/doctor.py [run|judge|patch|table] [NAME ...] [--folder runs/doctor]``

- ``run`` trains every case of :mod:`planted.cases` that has not been trained, each in a process of its own, and judges.
- ``judge`` diagnoses every finished run anew; nothing is trained.
- ``patch`` trains sick cases again with the patch of their leading finding and compares both on the same rows.
- ``table`` writes the table into ``docs/diagnosis.md`` and prints the totals.

Results are appended to ``results/doctor.jsonl``; the last line of a case counts. Cases of the project's examples
(finance, contact, news) run everywhere; the others need development data beside the checkout and are skipped without.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from random import Random
from typing import Any

from exactune.durable import write_text
from exactune.rundir import Run, append_jsonl, read_json, read_jsonl, write_json, write_jsonl

from planted.cases import CASES, Case
from planted.damage import general_text
from planted.rows import SETS, cut

HERE = Path(__file__).parent
RESULTS = HERE / "results" / "doctor.jsonl"
PAGE = HERE.parent / "docs" / "diagnosis.md"
MARK = re.compile(r"(<!-- doctor -->\n).*?(<!-- /doctor -->)", re.DOTALL)
LEADING = 2
"""A right code counts where it is among so many first findings."""


SIGNALLED = 128
"""Exit codes from here on are those of a run that was asked to stop."""


def prepare(case: Case, folder: Path) -> Path:
    """Write a case's rows and config; returns the config's path."""
    source = SETS[case.set]
    splits = cut(source, case.rows, case.seed)
    if case.damage:
        splits = case.damage(splits, Random(case.seed))
    folder.mkdir(parents=True, exist_ok=True)
    for name, rows in splits.items():
        write_jsonl(folder / f"{name}.jsonl", rows)
    tree = _tree(case.settings)
    tree["model"], tree["data"], tree["task"] = "mini", {name: f"{name}.jsonl" for name in splits}, source.answers()
    tree["evaluate"] = {"rows": 50, "baselines": list(source.baselines)}
    tree.setdefault("training", {})["seed"] = case.seed
    if case.damage:
        # Whoever has such rows and trains all the same was told so before: here the runs themselves have to tell.
        tree["check"] = {"on_error": "ignore"}
    if case.general:
        write_text(folder / "general.txt", general_text())
        tree["evaluate"]["general"] = ["general.txt"]
    write_json(folder / "task.yaml", tree)
    return folder / "task.yaml"


def _tree(settings: Mapping[str, Any]) -> dict[str, Any]:
    tree: dict[str, Any] = {}
    for key, value in settings.items():
        *parents, leaf = key.split(".")
        inner = tree
        for parent in parents:
            inner = inner.setdefault(parent, {})
        inner[leaf] = value
    return tree


def train(config: Path, run: Run, *options: str) -> float:
    """One run, in a process of its own, as a user makes it; what it says goes into ``NAME.log``.

    Returns:
        Seconds. A run that stops itself is a result, too: what it said is kept.
    """
    command = [sys.executable, "-c", "from exactune.cli import main; main()", "train", str(config), "--overwrite"]
    began = time.time()
    with (config.parent / f"{run.path.name}.log").open("w", encoding="utf-8") as log:
        done = subprocess.run([*command, "--output", str(run.path), *options], stdout=log, stderr=subprocess.STDOUT)
    if not 0 <= done.returncode < SIGNALLED:
        raise SystemExit(f"{config.parent.name} was interrupted")
    seconds = time.time() - began
    write_json(config.parent / f"{run.path.name}.json", {"seconds": round(seconds)})
    return seconds


def judge(case: Case, folder: Path) -> dict[str, Any]:
    """What the diagnosis says of a finished case."""
    from exactune.diagnose import diagnose

    run = Run(folder / case.name / "run")
    return {
        "case": case.name,
        "part": "judge",
        "expected": list(case.expects),
        "findings": [[finding.code, str(finding.severity)] for finding in diagnose(run)],
        **_figure(run),
        "seconds": read_json(folder / case.name / "run.json")["seconds"],
    }


def _figure(run: Run) -> dict[str, Any]:
    if not run.metrics.is_file():
        return {"metric": None, "value": None}
    figures = read_json(run.metrics)
    return {"metric": figures["primary"], "value": round(figures["metrics"][figures["primary"]]["value"], 4)}


def mend(case: Case, folder: Path) -> dict[str, Any] | None:
    """Train a case again with the patch of its leading finding; None where there is none."""
    from exactune.diagnose import diagnose
    from exactune.evaluate.against import compare_runs

    run, mended = Run(folder / case.name / "run"), Run(folder / case.name / "mended")
    found = next(iter(diagnose(run)), None)
    if found is None or not found.patch:
        return None
    config, patch = folder / case.name / "task.yaml", folder / case.name / "patch.yaml"
    write_json(patch, found.patch)
    seconds = train(config, mended, "--patch", str(patch))
    result = {"case": case.name, "part": "patch", "code": found.code, "patch": dict(found.patch), **_figure(mended)}
    result["before"], result["seconds"] = _figure(run)["value"], round(seconds)
    if run.metrics.is_file() and mended.metrics.is_file():
        compared = compare_runs(mended, run)
        result |= {"difference": compared["metrics"][compared["primary"]]["difference"],
                   "verdict": compared["metrics"][compared["primary"]]["verdict"]}  # fmt: skip
    else:
        result["verdict"] = "better" if mended.metrics.is_file() else "stopped"
    return result


def known(part: str) -> dict[str, dict[str, Any]]:
    """The last result of each case that there still is."""
    return {line["case"]: line for line in read_jsonl(RESULTS) if line["part"] == part and line["case"] in CASES}


def is_right(line: Mapping[str, Any]) -> bool:
    """A sick run: a right code leads. A healthy one: no error."""
    if CASES[line["case"]].expects:
        return any(code in CASES[line["case"]].expects for code, _ in line["findings"][:LEADING])
    return all(severity != "error" for _, severity in line["findings"])


def table() -> str:
    """Markdown of every case and the totals, misses included."""
    judged, patched = known("judge"), known("patch")
    text = "\n".join(f"- {line}" for line in totals(judged, patched)) + "\n\n"
    text += "| case | what was done | right codes | found | right | metric | with its patch |\n" + "| --- " * 7 + "|\n"
    for name, case in CASES.items():
        if name not in judged:
            continue
        line = judged[name]
        found = ", ".join(code if severity != "error" else f"**{code}**" for code, severity in line["findings"])
        figure = "stopped" if line["value"] is None else f"{line['metric']} {line['value']:.3f}"
        text += (
            f"| {name} | {case.planted} | {', '.join(case.expects) or '-'} | {found or '-'} "
            f"| {'yes' if is_right(line) else 'NO'} | {figure} | {_mended(patched.get(name))} |\n"
        )
    return text


def _mended(line: Mapping[str, Any] | None) -> str:
    if line is None:
        return "-"
    return f"{line['verdict']}" + ("" if line["value"] is None else f" ({line['value']:.3f})")


def totals(judged: Mapping[str, Any], patched: Mapping[str, Any]) -> Iterator[str]:
    """The figures that count, in words."""
    sick = [line for name, line in judged.items() if CASES[name].expects]
    healthy = [line for name, line in judged.items() if not CASES[name].expects]
    yield f"a right code is the first or second finding in {_share(sum(map(is_right, sick)), len(sick))} sick runs"
    first = sum(line["findings"][:1] != [] and line["findings"][0][0] in CASES[line["case"]].expects for line in sick)
    yield f"it is the first finding in {_share(first, len(sick))}"
    yield f"an error is found in {_share(len(healthy) - sum(map(is_right, healthy)), len(healthy))} healthy runs"
    yield "missed or wrongly alarmed: " + (
        ", ".join(name for name, line in judged.items() if not is_right(line)) or "-"
    )
    mended = [line for name, line in patched.items() if CASES[name].patched]
    better = sum(line["verdict"] == "better" for line in mended)
    yield f"with its patch, {_share(better, len(mended))} runs whose config was at fault are better"


def _share(part: int, whole: int) -> str:
    return f"{part} of {whole}" + (f" ({part / whole:.0%})" if whole else "")


def main() -> None:
    """Run, judge, mend or write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", nargs="?", default="run", choices=["run", "judge", "patch", "table"])
    parser.add_argument("names", nargs="*", help="Cases, or how their names begin.")
    parser.add_argument("--folder", type=Path, default=Path("runs/doctor"))
    given = parser.parse_args()
    if given.part == "table":
        write_table()
        return
    for name, case in CASES.items():
        if given.names and not name.startswith(tuple(given.names)):
            continue
        if not SETS[case.set].folder.is_dir():
            print(f"{name}: skipped, {SETS[case.set].folder} is not here")
            continue
        one(case, given.part, given.folder)


def one(case: Case, part: str, folder: Path) -> None:
    """A part of the work on one case, and its line of the results."""
    done = (folder / case.name / "run.json").is_file()
    if part == "run" and done:
        return
    if part == "run":
        run = Run(folder / case.name / "run")
        train(prepare(case, folder / case.name), run)
        if not run.train_metrics.is_file():
            (folder / case.name / "run.json").unlink()
            raise SystemExit(f"{case.name} did not train: see {folder / case.name / 'run.log'}")
    elif not done:
        print(f"{case.name}: not trained yet")
        return
    if part == "patch" and (not case.expects or case.name in known("patch")):
        return
    line = mend(case, folder) if part == "patch" else judge(case, folder)
    if line is None:
        print(f"{case.name}: no patch")
        return
    append_jsonl(RESULTS, line)
    print(json.dumps(line, ensure_ascii=False), flush=True)


def write_table() -> None:
    """Into the docs, and the totals onto the screen."""
    print(*totals(known("judge"), known("patch")), sep="\n")
    text = PAGE.read_text(encoding="utf-8")
    if not MARK.search(text):
        raise SystemExit(f"{PAGE} has no <!-- doctor --> marks")
    write_text(PAGE, MARK.sub(lambda match: match[1] + table() + match[2], text))


if __name__ == "__main__":
    main()
