"""The loop: train, diagnose, change what the diagnosis would change, train again, keep what is better.

No choice looks at test rows: every try is trained, scored and diagnosed with them withheld, and at the end the kept
run alone is scored on them.
"""

from __future__ import annotations

import gc
import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from exactune import ranks
from exactune.config import Config
from exactune.diagnose import diagnose as diagnose_run
from exactune.errors import ConfigError, DataError, Interrupted, TrainingError
from exactune.evaluate.against import compare_runs
from exactune.language import Text, join, say
from exactune.layers import flow, parse_mapping, read_patch, resolve
from exactune.pipeline import Say, finish, train_planned
from exactune.plan import Plan, Source, config_source, make_plan
from exactune.record import write_data
from exactune.report.loop_page import write_loop_page
from exactune.resume import find_changes, refuse_hard, refuse_harmless
from exactune.rules import Finding, Severity
from exactune.rundir import Run, read_json
from exactune.stop import StopNow, listening
from exactune.studies.tries import Record, Try, TryFolder
from exactune.train.fit import Display
from exactune.types import Patch
from exactune.verdicts import against_run

__all__ = ["auto", "search"]

Diagnose = Callable[[Run], list[Finding]]


def auto(
    config: Config | str | Path,
    *,
    patch_files: Sequence[str | Path] = (),
    assignments: Sequence[str] = (),
    output: str | None = None,
    max_runs: int = 4,
    resume: bool = False,
    resume_anyway: bool = False,
    overwrite: bool = False,
    say: Say = lambda _: None,
    display: Display | None = None,
) -> TryFolder:
    """Train, and train again with what the diagnosis would change, as long as that makes it better.

    Args:
        config: A config file or object.
        patch_files: As for :func:`exactune.train`.
        assignments: The same.
        output: Folder of all runs instead of ``output_dir``.
        max_runs: At most so many runs, those that fail included.
        resume: Go on with the loop in that folder.
        resume_anyway: The same where versions, device or harmless values have changed.
        overwrite: Replace the loop in that folder.
        say: Told what is found, what is changed and what it brought, one line at a time.
        display: Told how each training advances.

    Raises:
        ExactuneError: Something the user must change; before the first training nothing is written.
        Interrupted: Stopped by a signal.
    """
    return search(
        config_source(config, patch_files=patch_files, assignments=assignments), diagnose_run,
        output=output, max_runs=max_runs, resume=resume or resume_anyway, resume_anyway=resume_anyway,
        overwrite=overwrite, tell=say, display=display,
    )  # fmt: skip


def search(
    source: Source,
    diagnose: Diagnose,
    *,
    output: str | None = None,
    max_runs: int = 4,
    resume: bool = False,
    resume_anyway: bool = False,
    overwrite: bool = False,
    tell: Say = lambda _: None,
    display: Display | None = None,
) -> TryFolder:
    """:func:`auto` with a diagnosis: run -> findings, the likeliest cause first."""
    with listening() as stop:
        try:
            ranks.join()
            _refuse_several_processes()
            _refuse_other_methods(source)
            source = _with_test_rows(source)
            folder = TryFolder(Path(output or source.resolved.config.output_dir))
            folder.ensure_free(resume=resume, overwrite=overwrite)
            first = make_plan(source, output=str(folder.run("run-1").path))
            with Run(folder.path).locked():
                record = folder.start(resume=resume)
                if record.final is not None:
                    tell(say("resume  {path} is finished; there is nothing left to do", path=folder.path))
                    return folder
                loop = _Loop(source, first, folder, diagnose, max_runs, tell, display, resume, resume_anyway, record)
                loop.carry_out()
            return folder
        except StopNow:
            message = say("Stopped between two runs. Go on with the same command and --resume.")
            raise Interrupted(message, stop.signal_number or signal.SIGINT) from None


def _refuse_several_processes() -> None:
    if ranks.count() > 1:
        raise ConfigError(
            say(
                "--auto trains in one process, and this launch has {ranks}. Start it without torchrun; or train with "
                "torchrun and apply by hand what `exactune diagnose` names.",
                ranks=ranks.count(),
            )
        )


def _refuse_other_methods(source: Source) -> None:
    method = source.resolved.config.training.method
    if method != "sft":
        raise ConfigError(
            say(
                "--auto looks for the best supervised fine-tuning, and `training.method` is `{method}`. Run it with "
                "`sft`, then go on from the run that is kept: `start_from`.",
                method=method,
            )
        )


def _with_test_rows(source: Source) -> Source:
    """Where no test rows are named, some are held out: the eval rows choose, so their figures are too good."""
    data = source.resolved.config.data
    if data.test or data.test_fraction:
        return source
    return replace(source, patches=(*source.patches, Patch({"data.test_fraction": data.eval_fraction}, "--auto")))


def _withheld(plan: Plan) -> Plan:
    """The same run, scored on its eval rows."""
    note = say("{rows} test rows are withheld until a run is chosen by the eval rows", rows=len(plan.splits.test))
    return replace(plan, splits=replace(plan.splits, test=()), notes=(*plan.notes, note))


@dataclass(slots=True)
class _Loop:
    """One loop. Its state is its record, and that is on the disk before anything is done.

    Attributes:
        source: What the first run is made of.
        first: Its plan; all runs are scored on its rows.
        folder: Where the runs are.
        diagnose: Run -> findings, the likeliest cause first.
        max_runs: At most so many tries.
        tell: Told a line for each thing found, changed or gained.
        display: Told how each training advances.
        resumed: Whether an earlier process began it.
        anyway: Whether changed versions or harmless values are to be put up with.
        record: What was tried.
    """

    source: Source
    first: Plan
    folder: TryFolder
    diagnose: Diagnose
    max_runs: int
    tell: Say
    display: Display | None
    resumed: bool
    anyway: bool
    record: Record = field(default_factory=Record)

    def carry_out(self) -> None:
        """Try until there is a reason to stop, then score the kept run on the test rows."""
        try:
            while not self.record.stopped:
                following = self.record.unfinished or self._next()
                if isinstance(following, Try):
                    self._make(following)
                else:
                    self._note(replace(self.record, stopped=following))
            self._score_kept()
        finally:
            if not self.folder.runs():
                # Nothing came of the first one, so that the folder can be left as it was.
                self.folder.wipe()

    def _note(self, record: Record) -> None:
        self.record = replace(record, primary=self.first.task.primary)
        self.folder.write(self.record)
        write_loop_page(self.folder.path)

    def _next(self) -> Try | str:
        """What to try next, or why nothing.

        Raises:
            TrainingError: No run has come to its end, and there is no remedy.
        """
        if not self.record.tries:
            return Try("run-1")
        base = self.record.kept or self._newest_failed()
        if len(self.record.tries) >= self.max_runs:
            return self._over(base, say("as many runs were made as --max-runs allows ({runs})", runs=self.max_runs))
        found = [one for one in self.diagnose(self._run(base)) if one.severity is not Severity.INFO]
        for finding in found:
            if finding.patch and self._is_new(base, finding.patch):
                return _tried(len(self.record.tries) + 1, base, finding)
        if not found:
            return self._over(base, say("nothing is found in {run} that another run could mend", run=base.run))
        reason = say(
            "no remedy is left that was not tried for what is found in {run}: {codes}",
            run=base.run,
            codes=join(", ", (finding.code for finding in found)),
        )
        return self._over(base, reason)

    def _over(self, base: Try, reason: Text) -> Text:
        """The reason, if there is a run to keep.

        Raises:
            TrainingError: There is none; the newest says why.
        """
        if self.record.kept is None:
            raise TrainingError(base.error)
        return reason

    def _newest_failed(self) -> Try:
        """Without a run that came to its end, the newest is what the diagnosis looks at.

        Raises:
            TrainingError: It failed before it had anything to look at.
        """
        for one in reversed(self.record.tries):
            if self._run(one).train_metrics.is_file():
                return one
        raise TrainingError(self.record.tries[-1].error)

    def _is_new(self, base: Try, patch: Mapping[str, Any]) -> bool:
        """Whether no run was made of these values yet, and none is what it would be with them."""
        if any((one.source, one.patch) == (base.run, patch) for one in self.record.tries):
            return False
        try:
            wanted = resolve([read_patch(self._run(base).config), parse_mapping(patch, "patch")]).config
        except ConfigError:
            # What is wrong with it is said, and written down, when it is planned.
            return True
        return all(_values(wanted) != values for values in self._known_values())

    def _known_values(self) -> Iterator[dict[str, Any]]:
        for one in self.record.tries:
            if (file := self._run(one).config).is_file():
                yield _values(resolve([read_patch(file)]).config)

    def _make(self, attempt: Try) -> None:
        """Train and score a try, and compare it with the run kept so far."""
        self._note(self.record.with_newest(attempt))
        self.tell(_beginning(attempt))
        # The first run's errors are the user's to correct, but for one that a remedy may correct.
        failures = TrainingError if attempt.source is None else (TrainingError, ConfigError, DataError)
        try:
            plan = self._plan(attempt)
            run = train_planned(
                lambda: _withheld(plan), resume=True, resume_anyway=self.anyway,
                say=self.tell if attempt.source is None else lambda _: None, display=self.display,
            )  # fmt: skip
        except Interrupted as error:
            # Whatever became of the run, the loop goes on.
            message = say("Stopped in {run}. Go on with the same command and --resume.", run=attempt.run)
            raise Interrupted(message, error.signal_number) from None
        except failures as error:
            done = replace(attempt, verdict="failed", error=str(error), minutes=self._minutes(attempt))
            self.tell(say("result  {run} failed: {error}", run=attempt.run, error=done.error))
        else:
            done = self._judged(attempt, run)
        self._note(self.record.with_newest(done))
        # A trainer holds itself, and with it the weights of a run that is over.
        gc.collect()

    def _plan(self, attempt: Try) -> Plan:
        """The plan of a try, test rows included.

        Raises:
            ExactuneError: The patch cannot be used.
        """
        if attempt.source is None:
            return self.first
        layers = (*self.source.patches, *self._patches(attempt))
        plan = make_plan(replace(self.source, patches=layers), output=str(self._run(attempt).path))
        if _scored(plan) != _scored(self.first):
            raise ConfigError(
                say(
                    "with this change other rows would be scored, or otherwise, than in {run}, so their figures could "
                    "not be compared.",
                    run="run-1",
                )
            )
        return plan

    def _patches(self, attempt: Try) -> tuple[Patch, ...]:
        """What a try has beyond the first run, weakest first."""
        if attempt.source is None:
            return ()
        own = parse_mapping(attempt.patch, f"{attempt.code} {attempt.name}")
        return (*self._patches(self.record.named(attempt.source)), own)

    def _judged(self, attempt: Try, run: Run) -> Try:
        """The try with its figures, kept if it is better than the run kept so far."""
        primary, kept = self.first.task.primary, self.record.kept
        figure = read_json(run.metrics)["metrics"][primary]
        told = {"run": attempt.run, "metric": primary, **figure}
        done = replace(attempt, eval=_figure(figure), minutes=self._minutes(attempt))
        if kept is None:
            self.tell(say("result  {run} is kept: {metric} {value:.3f} ({low:.3f} to {high:.3f}) on eval rows", **told))
            return replace(done, verdict="first", kept=True)
        compared = compare_runs(run, self._run(kept))
        found = compared["metrics"][primary]
        words, better = against_run({**compared, "against": kept.run}), found["verdict"] == "better"
        self.tell(
            say("result  {run} is kept: {words}", run=attempt.run, words=words)
            if better
            else say("result  {kept} stays: {run} is {words}", kept=kept.run, run=attempt.run, words=words)
        )
        difference = {**_figure(found["difference"]), "rows": found["rows"]}
        return replace(done, difference=difference, verdict=found["verdict"], kept=better)

    def _score_kept(self) -> None:
        """Make the kept run what a run is: its test rows listed, answered and scored."""
        kept = self.record.kept
        assert kept is not None, "a loop without one has raised"
        self.tell(say("kept    {run}: {reason}", run=kept.run, reason=self.record.stopped))
        plan = self._plan(kept)
        run = plan.run
        with run.locked():
            if self.resumed:
                self._refuse_changes(plan)
            write_data(plan)
            finish(plan)
        document = read_json(run.metrics)
        self._note(replace(self.record, final={name: document[name] for name in ("split", "n", "metrics")}))

    def _refuse_changes(self, plan: Plan) -> None:
        """A run that an earlier process trained is scored on the test rows only if it is still the same run."""
        listed = read_json(plan.run.data)["splits"]["test"]["rows"]
        changes = find_changes(plan if listed else _withheld(plan))
        refuse_hard(plan.run, changes)
        if not self.anyway:
            refuse_harmless(plan.run, changes)

    def _run(self, attempt: Try) -> Run:
        return self.folder.run(attempt.run)

    def _minutes(self, attempt: Try) -> float:
        """That training took; none where it did not come so far."""
        env = self._run(attempt).env
        return float(read_json(env)["minutes"]) if env.is_file() else 0.0


def _tried(number: int, base: Try, finding: Finding) -> Try:
    patch = dict(finding.patch or {})
    return Try(f"run-{number}", base.run, finding.code, finding.name, finding.message, patch)


def _beginning(attempt: Try) -> Text:
    if attempt.source is None:
        return say("try     {run}: as the config says", run=attempt.run)
    return say(
        "try     {run}: {code} {name} in {source}: {reason} Changed: {changes}",
        run=attempt.run,
        code=attempt.code,
        name=attempt.name,
        source=attempt.source,
        reason=attempt.reason,
        changes=join(", ", (f"{key}={flow(value)}" for key, value in attempt.patch.items())),
    )


def _figure(figure: Mapping[str, float]) -> dict[str, float]:
    return {name: figure[name] for name in ("value", "low", "high")}


def _values(config: Config) -> dict[str, Any]:
    """What a run hangs on, without the folder that it happens to lie in."""
    return config.model_dump(mode="json", exclude={"output_dir"})


def _scored(plan: Plan) -> tuple[Any, ...]:
    """Rows and measure; two runs that agree on them can be compared."""
    rows = [[row.id for row in part] for part in (plan.splits.eval, plan.splits.test)]
    return plan.task.type, plan.task.primary, *rows
