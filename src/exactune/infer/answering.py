"""How prompts are answered: by the most probable label, within a grammar, or freely."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from exactune.errors import ModelError
from exactune.infer.answers import Answer, read_answer
from exactune.infer.attention import obstacle_to_sharing
from exactune.infer.engine import generate
from exactune.infer.grammar import Grammar
from exactune.infer.labels import TOLERANCE, LabelScores, LabelTrie, score_labels
from exactune.language import Text, say
from exactune.render.template import Template
from exactune.tasks import Task

__all__ = ["Answering"]


@dataclass(frozen=True, slots=True)
class Answering:
    """Answers prompts, the same way in training, evaluation and use.

    Attributes:
        task: Reads the answers.
        template: Makes and decodes ids.
        max_new_tokens: Where a generation is cut and called ``no_stop``.
        labels: The answer of each label, if answers are held to labels; else empty.
        trie: Their ids.
        grammar: What answers are held to, or None.
    """

    task: Task
    template: Template
    max_new_tokens: int
    labels: tuple[str, ...] = ()
    trie: LabelTrie | None = None
    grammar: Grammar | None = None

    @classmethod
    def of(cls, task: Task, template: Template, constraint: Mapping[str, Any] | None, max_new_tokens: int) -> Answering:
        """With a constraint as :func:`~exactune.tasks.constraint.choose_constraint` gives it.

        Raises:
            ModelError: The model's tokenizer writes two labels alike, or cannot be held to a grammar.
        """
        constraint = constraint or {}
        labels = tuple(constraint.get("labels", ()))
        by_ids: dict[tuple[int, ...], str] = {}
        for label in labels:
            other = by_ids.setdefault(tuple(template.answer_ids(label)), label)
            if other != label:
                raise ModelError(
                    say("the model's tokenizer writes the labels {one!r} and {two!r} alike.", one=other, two=label)
                )
        grammar = Grammar(constraint["grammar"], template, constraint.get("copy")) if "grammar" in constraint else None
        trie = LabelTrie.of([*by_ids]) if labels else None
        return cls(task, template, max_new_tokens, labels, trie, grammar)

    def obstacle(self, model: torch.nn.Module, longest: int) -> Text | None:
        """Why labels cannot be scored with this model, so that it answers freely; None if they can, or need not.

        Args:
            model: The model, or a wrapper with its ``config``.
            longest: Tokens of the longest row, its answer included.
        """
        return obstacle_to_sharing(model.config.get_text_config(), longest) if self.labels else None

    def __call__(
        self,
        model: torch.nn.Module,
        prompts: Sequence[Sequence[int]],
        *,
        sources: Sequence[str] | None = None,
        batch_size: int = 32,
        tolerance: float = TOLERANCE,
        advance: Callable[[int], None] = lambda _: None,
    ) -> list[Answer]:
        """One answer per prompt, in order.

        Args:
            model: A causal language model; it is put into evaluation mode for the call.
            prompts: Ids of each prompt.
            sources: What each answer may copy from, needed where the constraint says ``copy``; see
                :attr:`~exactune.types.Example.input`.
            batch_size: Prompts answered together.
            tolerance: Of the probabilities of labels; see :func:`~exactune.infer.labels.score_labels`.
            advance: Called with the number of prompts just answered; may raise to end the work.
        """
        # Asked of each prompt alone, so that its answer does not hang on which others are answered with it.
        room = self.trie.depths if self.trie else 0
        held = [
            index for index, prompt in enumerate(prompts)
            if self.trie and self.obstacle(model, len(prompt) + room) is None
        ]  # fmt: skip
        free = sorted({*range(len(prompts))}.difference(held))
        found: dict[int, Answer] = {}
        if self.trie and held:
            scores = score_labels(
                model, [prompts[index] for index in held], self.trie,
                batch_size=batch_size, tolerance=tolerance, advance=advance,
            )  # fmt: skip
            found |= {index: self._of_label(one) for index, one in zip(held, scores, strict=True)}
        if free:
            generations = generate(
                model, self.template, [prompts[index] for index in free],
                max_new_tokens=self.max_new_tokens, batch_size=batch_size, grammar=self.grammar,
                sources=None if sources is None else [sources[index] for index in free], advance=advance,
            )  # fmt: skip
            found |= {
                index: read_answer(self.task, one, self.template) for index, one in zip(free, generations, strict=True)
            }
        return [found[index] for index in range(len(prompts))]

    def _of_label(self, scores: LabelScores) -> Answer:
        text = self.labels[scores.best]
        return Answer(
            text, self.task.parse(text), scores.probabilities[scores.best], scores.mass,
            logprob=scores.logprobs[scores.best], label_logprobs=array("f", scores.estimates),
        )  # fmt: skip
