"""Rules about how training went (R101 to R106)."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

from exactune.diagnose.knowledge import limit
from exactune.diagnose.remedies import patch_for
from exactune.diagnose.symptoms import Evaluation, Symptoms
from exactune.language import say
from exactune.rules import Finding, Rule

__all__ = ["diverged", "hardly_moved", "oscillating", "overfit", "still_improving", "underfit"]


def overfit(seen: Symptoms, rule: Rule[Symptoms]) -> Iterator[Finding]:
    """The training rows were learned by heart.

    What it does:
        Fires when training rows are answered better than the scored rows by 15 points or more, and their 95 % intervals
        do not meet. Before a run is scored: when the eval loss ended more than a fifth above its lowest value, and the
        training loss at half of that or less; not of `dpo`, whose training loss is of another kind.

    Why it matters:
        What is learned by heart does not carry over to new rows. The best checkpoint is the one kept, so the worst of
        it is not in the figures; but the learning rate was scheduled for more epochs than were of use.

    Example:
        macro_f1 is 0.990 on training rows and 0.710 on the scored rows

    Fix:
        Add rows that differ from those there are: that helps most. Otherwise train fewer epochs, with more dropout and
        more weight decay.
    """
    lowest = min(seen.evaluations, key=lambda one: one.loss, default=None)
    trained, scored = seen.trained_figure, seen.figure
    curve = {} if lowest is None else {
        "eval_best": lowest.loss, "eval_last": seen.evaluations[-1].loss, "best_epoch": _epoch(lowest),
        "last_epoch": _epoch(seen.evaluations[-1]),
    }  # fmt: skip
    # A run of fewer steps than `logging_steps` has logged no loss.
    if seen.epoch_losses and not seen.loss_of_pairs:
        curve["train"] = seen.epoch_losses[-1]
    if trained and scored:
        gap = trained.value - scored.value
        if trained.low <= scored.high or gap < limit("overfit_gap"):
            return
        message = say(
            "{metric} is {train:.3f} on training rows and {scored:.3f} on the scored rows",
            metric=seen.metric, train=trained.value, scored=scored.value,
        )  # fmt: skip
        curve |= {"train_metric": trained.value, "scored_metric": scored.value, "gap": gap}
    else:
        known = {"train", "eval_last"} <= curve.keys()
        if (
            not known
            or curve["eval_last"] <= limit("overfit_loss") * curve["eval_best"]
            or curve["train"] > 0.5 * curve["eval_last"]
        ):
            return
        message = say(
            "the eval loss was lowest after epoch {best_epoch:g} ({eval_best:.3f}) and ended at {eval_last:.3f}, while "
            "the training loss fell to {train:.3f}",
            **curve,
        )
    earlier = say(
        "It is the run in `start_from` that knows these rows by heart: add rows that differ from them there, or train "
        "that one for fewer epochs."
    )
    yield rule.finding(
        message, evidence=curve, patch=patch_for(rule.code, seen), fix=earlier if seen.loss_of_pairs else None
    )


def _epoch(one: Evaluation) -> float:
    """A whole number without a point: it stands in a table."""
    return int(one.epoch) if float(one.epoch).is_integer() else one.epoch


def underfit(seen: Symptoms, rule: Rule[Symptoms]) -> Iterator[Finding]:
    """Not even the training rows are answered well.

    What it does:
        Fires when the metric is below 0.90 on training rows (its whole 95 % interval is), and less than 15 points
        better there than on the scored rows. Of a run that goes on from another one, these are the rows of that one.

    Why it matters:
        A model that has not learned the rows it was shown has room left: more rows will not help before it has.

    Example:
        macro_f1 is 0.410 on training rows and 0.380 on the scored rows, and the loss was still falling

    Fix:
        Train longer, with a larger rank and a higher learning rate; where `dpo` goes on from another run, that one:
        pairs do not teach a task.
    """
    trained, scored = seen.trained_figure, seen.figure
    if trained is None or scored is None or trained.high >= limit("learned"):
        return
    if trained.value - scored.value >= limit("underfit_gap"):
        return
    falling = _falling(seen)
    told = {"metric": seen.metric, "train": trained.value, "scored": scored.value}
    yield rule.finding(
        say(
            "{metric} is {train:.3f} on training rows and {scored:.3f} on the scored rows, and the loss was still "
            "falling",
            **told,
        )
        if falling >= limit("falling")
        else say("{metric} is {train:.3f} on training rows and {scored:.3f} on the scored rows", **told),
        evidence={
            "train": trained.value, "scored": scored.value, "falling": falling,
            "train_loss": seen.epoch_losses[-1] if seen.epoch_losses and not seen.loss_of_pairs else None,
            "learning_rate": seen.config.training.learning_rate,
            "recipe_rate": seen.recipe.get("training.learning_rate"),
        },
        patch=patch_for(rule.code, seen),
    )  # fmt: skip


def _falling(seen: Symptoms) -> float:
    """Share of the training loss that the last epoch took away; of a single epoch, its second half.

    Of pairs, 0: their loss falls for as long as the model leaves the reference, whatever that does to the task.
    """
    if seen.loss_of_pairs:
        return 0.0
    losses = seen.epoch_losses
    if len(losses) < 2:
        lines = [line.loss for line in seen.steps]
        half = len(lines) // 2
        losses = (sum(lines[:half]) / half, sum(lines[half:]) / len(lines[half:])) if half else ()
    return 1 - losses[-1] / losses[-2] if len(losses) > 1 and losses[-2] else 0.0


def diverged(seen: Symptoms, rule: Rule[Symptoms]) -> Iterator[Finding]:
    """Training broke down.

    What it does:
        Looks at the training loss: fires when the mean of the last epoch is half as high again as that of the best
        one, when the last logged values are as high as the first, or when one is four times the highest of the epoch
        before it. Fires, too, when the weights were changed by twice their own norm. The loss of `dpo` has to rise
        above its first value: below that, pairs are told apart better than before the first step.

    Why it matters:
        Steps too large for the weights destroy what the base model knows. Later epochs may look calm and learn only
        which answers are frequent.

    Example:
        the training loss rose from 0.410 to 7.930 by step 12

    Fix:
        Lower the learning rate, and warm up longer. After a single jump look for broken or very long rows, too
        (`exactune check`).
    """
    losses = seen.epoch_losses
    if not losses or len(seen.steps) < 2:
        return
    first, last, best = seen.steps[0].loss, losses[-1], min(losses)
    # Of three lines or fewer the first is one of the last.
    spike, ended = _spike(seen), min((line.loss for line in seen.steps[3:][-3:]), default=0.0)
    # A loss of pairs that stays where it began is that of pairs that cannot be told apart.
    as_high = limit("diverged") if seen.loss_of_pairs else limit("never_learned")
    if last > limit("diverged") * best and last > _least(seen):
        message = say(
            "the mean training loss was {best:.3f} in epoch {epoch} and {last:.3f} in the last one",
            best=best, epoch=losses.index(best) + 1, last=last,
        )  # fmt: skip
    elif ended >= as_high * first and not _still(seen):
        message = say("the training loss began at {first:.3f} and ended at {last:.3f}", first=first, last=last)
    elif spike is not None:
        message = say(
            "the training loss rose from {before:.3f} to {after:.3f} by step {step}",
            before=spike[1], after=spike[2], step=spike[0],
        )  # fmt: skip
    elif (moved := _moved(seen)) >= limit("moved_too_far"):
        message = say(
            "the weights were changed by {moved:.3g} times their own norm; the training loss began at {first:.3f} and "
            "ended at {last:.3f}",
            moved=moved, first=first, last=last,
        )  # fmt: skip
    else:
        return
    evidence = {
        "moved": _moved(seen), "first_loss": first, "best_loss": best, "last_loss": last,
        "learning_rate": seen.config.training.learning_rate,
        "recipe_rate": seen.recipe.get("training.learning_rate"),
    } | ({"step": spike[0], "loss_before": spike[1], "loss_after": spike[2]} if spike else {})  # fmt: skip
    yield rule.finding(message, evidence=evidence, patch=patch_for(rule.code, seen))


def _least(seen: Symptoms) -> float:
    """What a loss has to be above to be one of a training that broke down: of answers a tenth of the first one, of
    pairs the first one."""
    return (1.0 if seen.loss_of_pairs else 0.1) * seen.steps[0].loss


def _still(seen: Symptoms) -> bool:
    """Whether the weights are known to have stayed where they were: then a flat loss is no divergence."""
    return 0 < _moved(seen) < limit("moved")


def _moved(seen: Symptoms) -> float:
    """How far the weights have moved at most; 0 where that was not measured."""
    return max((one.moved or 0.0 for one in seen.evaluations), default=0.0)


def _spike(seen: Symptoms) -> tuple[int, float, float] | None:
    """Step, highest loss of the epoch before it, and its loss, where the loss jumped."""
    for number, line in enumerate(seen.steps):
        before = [one.loss for one in seen.steps[:number] if one.epoch >= line.epoch - 1]
        if len(before) > 2 and line.loss > limit("spike") * max(before) and line.loss > _least(seen):
            return line.step, max(before), line.loss
    return None


def oscillating(seen: Symptoms, rule: Rule[Symptoms]) -> Iterator[Finding]:
    """The eval loss goes up and down instead of settling.

    What it does:
        Counts the evaluations whose loss is 15 % or more above both neighbours, and more than a tenth of the first one;
        fires where they are a fifth of all, and two at least.

    Why it matters:
        Which checkpoint is the best is then a matter of chance, and the score of the best of several draws is too
        good to be repeated.

    Example:
        the eval loss rose and fell again 3 times in 8 evaluations, by 80% at most

    Fix:
        Lower the learning rate, and warm up longer.
    """
    losses = [one.loss for one in seen.evaluations]
    swings = [
        middle / max(before, after, 1e-9) - 1
        for (before, middle), (_, after) in pairwise(pairwise(losses))
        # Next to nothing, a loss that doubles is still next to nothing.
        if middle > max((1 + limit("swing")) * max(before, after), 0.1 * losses[0])
    ]
    if len(swings) < max(2, limit("swings") * len(losses)):
        return
    yield rule.finding(
        say(
            "the eval loss rose and fell again {swings} times in {evaluations} evaluations, by {most:.0%} at most",
            swings=len(swings), evaluations=len(losses), most=max(swings),
        ),
        evidence={"swings": len(swings), "swing": max(swings), "learning_rate": seen.config.training.learning_rate},
        patch=patch_for(rule.code, seen),
    )  # fmt: skip


def hardly_moved(seen: Symptoms, rule: Rule[Symptoms]) -> Iterator[Finding]:
    """Training changed next to nothing.

    What it does:
        Fires when training has changed the weights it published by less than 0.5 % of their norm, and training rows are
        not answered well (as R102 says) or were not asked for. `dpo` takes small steps, so of it pairs have to be told
        apart hardly better than at the start, too (a margin below 0.1).

    Why it matters:
        The run answers as what it began with does, whatever its loss curve looks like. A learning rate copied from full
        fine-tuning, or from another base, is the usual reason.

    Example:
        the weights moved by 0.0002 of their norm at a learning rate of 5e-05; the recipe's is 0.005

    Fix:
        Raise the learning rate to the recipe's, or tenfold where it was that high already.
    """
    last = seen.evaluations[-1] if seen.evaluations else None
    if seen.chosen and seen.chosen.step:
        # Before the first step, where a start that was not beaten is published, nothing can have moved.
        last = seen.chosen
    if last is None or last.moved is None or last.moved >= limit("moved"):
        return
    if seen.trained_figure and seen.trained_figure.high >= limit("learned"):
        # Of weights that are large, or all trained, a small part is enough.
        return
    if seen.loss_of_pairs and max((line.margin or 0.0 for line in seen.steps), default=0.0) >= limit("told_apart"):
        return
    rate, given = seen.config.training.learning_rate, seen.recipe.get("training.learning_rate")
    yield rule.finding(
        say(
            "the weights moved by {moved:.2g} of their norm at a learning rate of {rate:g}; the recipe's is {given:g}",
            moved=last.moved, rate=rate, given=given,
        )
        if given and given != rate
        else say("the weights moved by {moved:.2g} of their norm at a learning rate of {rate:g}",
                 moved=last.moved, rate=rate),
        evidence={"moved": last.moved, "floor": limit("moved"), "learning_rate": rate, "recipe_rate": given},
        patch=patch_for(rule.code, seen),
    )  # fmt: skip


def still_improving(seen: Symptoms, rule: Rule[Symptoms]) -> Iterator[Finding]:
    """Training ended while it still paid.

    What it does:
        Fires when the last epoch allowed was the best one, and took 3 % or more off both losses, the eval loss and
        the training loss; not where all eval rows are answered rightly, and not of `dpo`: the loss of pairs falls for
        as long as the model leaves its start, whatever that does to the task.

    Why it matters:
        The limit decided, not the model: the same rows have more to give.

    Example:
        epoch 3 of 3 was the best, and took 14% off the loss

    Fix:
        Allow more epochs; early stopping ends training when they do not pay.
    """
    if not seen.at_the_limit or seen.chosen is not seen.evaluations[-1]:
        return
    if seen.evaluations[-1].scores.get(seen.metric, 0.0) >= 1:
        return
    gain = _falling(seen)
    if len(seen.evaluations) > 1 and seen.evaluations[-2].loss:
        gain = min(gain, 1 - seen.evaluations[-1].loss / seen.evaluations[-2].loss)
    if gain < limit("falling"):
        return
    epochs = seen.config.training.num_epochs.maximum
    yield rule.finding(
        say(
            "epoch {epoch:g} of {epochs:g} was the best, and took {gain:.0%} off the loss",
            epoch=seen.evaluations[-1].epoch, epochs=epochs, gain=gain,
        ),
        evidence={"epochs": epochs, "gain_last": gain},
        patch=patch_for(rule.code, seen),
    )  # fmt: skip
