from __future__ import annotations

import pytest
import torch

from exactune.bases import find_base
from exactune.render.template import Template

import tiny


@pytest.fixture(scope="module")
def template() -> Template:
    return Template(tiny.byte_bpe())


@pytest.fixture(scope="module")
def mini() -> Template:
    return Template.load(find_base("mini"))


@pytest.fixture(scope="module")
def model(template: Template) -> torch.nn.Module:
    # Wider than the vocabulary, as models with a padded output layer are; and of several minds.
    made = tiny.model(len(template.tokenizer) + 21)
    for parameter in made.parameters():
        parameter.data.mul_(3)
    return made
