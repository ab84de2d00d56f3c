"""The methods side by side: trained on the same rows under the same seeds, scored on the same rows.

Every run has a process of its own, so that its peak of memory is its own. What is known stands in ``compare.json``
before anything is done, and a comparison that was killed goes on there.
"""

from __future__ import annotations

import gc
import signal
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from exactune.config import Config
from exactune.describe import describe
from exactune.errors import DataError, ExactuneError, Interrupted, RunError, TemplateError, TrainingError
from exactune.evaluate.forgetting import losses
from exactune.language import Text, join, say
from exactune.pipeline import Say
from exactune.plan import Plan, Source, make_plan
from exactune.report.compare_page import write_compare_page
from exactune.resume import best_file
from exactune.rundir import Run, read_json
from exactune.stop import StopNow, StopRequest, listening
from exactune.studies.agenda import Agenda, doing, make_agenda
from exactune.studies.apart import Work, apart, here
from exactune.studies.comparison import PAIRED, REFERENCE, Comparison, ComparisonFolder, Entry, folder_name
from exactune.studies.contestants import (
    answer_by_base,
    mine_pairs,
    orpo_source,
    refuse_other_ids,
    sft_source,
    train_further,
    train_one,
    write_rows,
)
from exactune.studies.summing import sum_up
from exactune.train.fit import Display
from exactune.verdicts import method_name

__all__ = ["compare"]


def compare(
    config: Config | str | Path,
    *,
    patch_files: Sequence[str | Path] = (),
    assignments: Sequence[str] = (),
    output: str | None = None,
    resume: bool = False,
    resume_anyway: bool = False,
    overwrite: bool = False,
    say: Say = lambda _: None,
    display: Display | None = None,
    separate: bool = True,
) -> ComparisonFolder:
    """Train and score the methods of the ``compare`` block, and say which one to take.

    Args:
        config: A config file or object.
        patch_files: As for :func:`exactune.train`.
        assignments: The same.
        output: Folder of all runs instead of ``output_dir``.
        resume: Go on with the comparison in that folder; methods and seeds may have been added.
        resume_anyway: The same where versions, device or harmless values have changed.
        overwrite: Replace the comparison in that folder.
        say: Told what is done, one line at a time.
        display: Told how each training advances.
        separate: Whether each run has a process of its own; else peaks of memory are those of this process.

    Raises:
        ExactuneError: Something the user must change; before the first training nothing is written.
        Interrupted: Stopped by a signal.
    """
    tell = say
    with listening() as stop:
        try:
            agenda = make_agenda(config, patch_files, assignments, output)
            folder = agenda.folder
            folder.ensure_free(resume=resume or resume_anyway, overwrite=overwrite)
            with Run(folder.path).locked():
                record = _started(agenda, resume=resume or resume_anyway)
                work = _Comparison(agenda, tell, display, stop, resume_anyway, separate, record)
                work.carry_out()
            return folder
        except StopNow:
            raise Interrupted(_going_on(), stop.signal_number or signal.SIGINT) from None


def _started(agenda: Agenda, *, resume: bool) -> Comparison:
    """What there is to go on with, in a folder that is else empty now.

    Raises:
        RunError: It is not the same comparison.
    """
    plan, folder = agenda.plan, agenda.folder
    record = folder.read() if resume else Comparison()
    settings = _settings(agenda.source)
    if not record.runs:
        # Known for empty before it is: a wipe that was killed is begun again.
        folder.write(Comparison())
        folder.wipe()
    elif changed := [key for key in {**settings, **record.settings} if settings.get(key) != record.settings.get(key)]:
        raise RunError(
            say(
                "{path} was started with another {names}, so it cannot be resumed. Start again with "
                "--overwrite or another --output.",
                path=folder.path,
                names=join(", ", (f"`{key}`" for key in changed)),
            )
        )
    record = replace(
        record, settings=settings, task=plan.task.type, primary=plan.task.primary,
        seeds=[*dict.fromkeys(plan.config.compare.seeds)], methods=(), keep="", verdict=(),
        # What failed, and what hung on it, is tried again.
        runs=[one for one in record.runs if one.state in (None, "done")],
    )  # fmt: skip
    folder.write(record)
    return record


def _settings(source: Source) -> dict[str, Any]:
    """What the runs hang on, by block; rows are held against their files, but for mixed-in ones, which have none."""
    tree = source.resolved.config.model_dump(
        mode="json", by_alias=True, exclude={"output_dir", "compare", "data", "gate", "gate_on"}
    )
    tree["training"].pop("seed")
    if mix := source.resolved.config.data.mix:
        tree["data.mix"] = [one.model_dump() for one in mix]
    return tree


def _going_on() -> Text:
    return say("Stopped. Go on with the same command and --resume.")


@dataclass(slots=True)
class _Comparison:
    """One comparison. Its state is its record, and that is on the disk before anything is done.

    Attributes:
        agenda: What is to be done.
        tell: Told a line for each run.
        display: Told how each training advances.
        stop: A signal that came.
        anyway: Whether changed versions or harmless values are put up with.
        separate: Whether each run has a process of its own.
        record: What is known.
    """

    agenda: Agenda
    tell: Say
    display: Display | None
    stop: StopRequest
    anyway: bool
    separate: bool
    record: Comparison

    @property
    def source(self) -> Source:
        return self.agenda.source

    @property
    def plan(self) -> Plan:
        return self.agenda.plan

    @property
    def folder(self) -> ComparisonFolder:
        return self.agenda.folder

    def carry_out(self) -> None:
        """Everything that is not done yet, then what it adds up to."""
        try:
            self._make_all()
        finally:
            if not any(one.state for one in self.record.runs) and not self.folder.runs():
                # Nothing came of the first run, so that the folder can be left as it was.
                self.folder.wipe()
        record = sum_up(self.record, self.folder, self.plan.task, self.plan.config.compare.methods)
        self._note(record)
        for sentence in record.verdict:
            self.tell(say("verdict {verdict}", verdict=sentence))

    def _make_all(self) -> None:
        for line in describe(self.plan):
            self.tell(line)
        data = write_rows(self.plan, self.folder.rows)
        same = sft_source(self.source, self.plan, self.folder.rows, self.plan.config.training.seed)
        refuse_other_ids(self.plan, make_plan(same, output=str(self.plan.run.path)))
        self._note(replace(self.record, data=data))
        for method, seed in self.agenda.jobs():
            known = self.record.of(method, seed)
            if known and known.state:
                self.tell(say("done    {what}", what=doing(method, seed, self.plan)))
            else:
                self._make(method, seed)

    def _note(self, record: Comparison) -> None:
        self.record = record
        self.folder.write(record)
        write_compare_page(self.folder.path)

    def _make(self, method: str, seed: int | None) -> None:
        """One run, and what it came to.

        Raises:
            ExactuneError: It is the user's to mend.
            Interrupted: Stopped by a signal.
        """
        entry = Entry(method, seed, folder_name(REFERENCE if method == "pairs" else method, seed))
        self._note(self.record.with_entry(entry))
        self.tell(say("run     {what}", what=doing(method, seed, self.plan)))
        try:
            done = self._without(entry) or self._carried_out(entry)
        except Interrupted as error:
            raise Interrupted(_going_on(), error.signal_number) from None
        except ExactuneError as error:
            # The first run's errors are the user's to mend; so is a folder that cannot be gone on with.
            if isinstance(error, RunError) or (method == REFERENCE and not isinstance(error, TrainingError)):
                raise
            # A prompt without room for examples, or a template without a place for them, is no failure.
            left_out = method == "kshot" and isinstance(error, (DataError, TemplateError))
            done = replace(entry, state="none" if left_out else "failed", note=str(error))
        self._note(self.record.with_entry(done))
        self.tell(_result(done, self.record.primary))

    def _without(self, entry: Entry) -> Entry | None:
        """What is known of a run without making it: it stands on one that failed, or has nothing to learn from."""
        seed = entry.seed
        if entry.method in (REFERENCE, "base"):
            return None
        first = self.record.done(REFERENCE, seed)
        if first.state == "failed":
            return replace(entry, state="failed", note=say("sft failed under this seed"))
        if entry.method not in PAIRED or (entry.method == "orpo" and self._has_own_pairs):
            return None
        mined = self.record.done("pairs", seed)
        if mined.state == "failed":
            return replace(entry, state="failed", note=mined.note)
        if mined.pairs:
            return None
        note = say("no mistake makes a pair: of {rows} training rows, none was answered wrongly in a way to learn from",
                   rows=mined.rows)  # fmt: skip
        if entry.method == "orpo":
            return replace(entry, state="none", note=note)
        before = first.minutes + mined.minutes
        return replace(first, method=entry.method, run=first.run, state="same", minutes=0.0, before=before, note=note)

    @property
    def _has_own_pairs(self) -> bool:
        return any(row.rejected is not None for row in self.plan.splits.train)

    def _carried_out(self, entry: Entry) -> Entry:
        run = Run(self.folder.path / entry.run)
        result, most = (apart if self.separate else here)(self._work(entry), self._tell_less, self.display, self.stop)
        # A trainer holds itself, and with it the weights of a run that is over.
        gc.collect()
        if entry.method == "pairs":
            return replace(entry, state="done", rows=result["answered"], pairs=result["pairs"],
                           minutes=result["minutes"], peak_memory_mb=most)  # fmt: skip
        if entry.method in ("base", "kshot"):
            return replace(_scored(entry, run), state="done", rows=result["shots"], peak_memory_mb=most)
        return self._trained(_scored(entry, run), run)

    def _tell_less(self, line: str) -> None:
        """Of a run, where it goes on; what was decided of all was told before, and the rest is in its folder."""
        if line.startswith(("resume", "fold")):
            self.tell(line)

    def _work(self, entry: Entry) -> Work:
        seed, run = entry.seed, Run(self.folder.path / entry.run)
        if entry.method == "base":
            return partial(answer_by_base, self._any_run(), run, shots=0, seed=0)
        assert seed is not None
        sft = sft_source(self.source, self.plan, self.folder.rows, seed)
        first = self.folder.run(REFERENCE, seed)
        if entry.method == "kshot":
            return partial(answer_by_base, first, run, shots=self.plan.config.evaluate.shots, seed=seed)
        if entry.method == "pairs":
            return partial(mine_pairs, first, self._orpo_rows(seed))
        if entry.method == "sft+dpo":
            return partial(train_further, sft, first, run.path, anyway=self.anyway)
        if entry.method == "orpo":
            sft = orpo_source(sft, self._orpo_rows(seed))
        return partial(train_one, sft, run.path, anyway=self.anyway)

    def _orpo_rows(self, seed: int) -> Path:
        return self.folder.rows / ("train.jsonl" if self._has_own_pairs else f"orpo-{seed}.jsonl")

    def _any_run(self) -> Run:
        """A finished run of ``sft``: how it is asked is how the base is.

        Raises:
            TrainingError: There is none.
        """
        done = next((one for one in self.record.runs if one.method == REFERENCE and one.state == "done"), None)
        if done is None:
            raise TrainingError(say("sft failed under this seed"))
        return Run(self.folder.path / done.run)

    def _trained(self, entry: Entry, run: Run) -> Entry:
        """With what a run folder says of its training."""
        env, data, best = read_json(run.env), read_json(run.data), read_json(best_file(run))
        before = 0.0
        pairs = 0
        if entry.method in PAIRED and not (entry.method == "orpo" and self._has_own_pairs):
            mined = self.record.done("pairs", entry.seed)
            before, pairs = self.record.done(REFERENCE, entry.seed).minutes + mined.minutes, mined.pairs
        return replace(
            entry, state="done", rows=data["splits"]["train"]["rows"], pairs=pairs, minutes=env["minutes"],
            before=before, peak_memory_mb=env.get("peak_memory_mb"), epoch=best["epoch"],
        )  # fmt: skip


def _scored(entry: Entry, run: Run) -> Entry:
    """With what a folder says of its answers."""
    document = read_json(run.metrics)
    return replace(
        entry,
        metrics={name: figure["value"] for name, figure in document["metrics"].items()},
        usable=document["statuses"].get("ok", 0) / document["n"],
        general=losses(document["general"]) if "general" in document else {},
    )


def _result(entry: Entry, primary: str) -> Text:
    if entry.method == "pairs" and entry.state == "done":
        return say("result  {pairs} pairs of {rows} rows", pairs=entry.pairs, rows=entry.rows)
    told = {"run": method_name(entry.method), "note": entry.note}
    if entry.state == "done":
        return say("result  {run}: {metric} {value:.3f}", run=told["run"], metric=primary, value=entry.metrics[primary])
    if entry.state == "failed":
        return say("result  {run} failed: {error}", run=told["run"], error=told["note"])
    return say("result  {run}: {note}", **told)
