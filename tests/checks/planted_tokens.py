"""Plants that only a tokenizer shows, and labels that a config does not list (D304, D306, D5)."""

from __future__ import annotations

from planted import Plant, replaced, with_answer, with_text
from planted_clean import asked

HOME = ("intents_en",)
LISTED = ("legal_threat", "Refund Request", "refund", "other", "7")
CONTROL = ("<|im_end|>", "<|im_start|>", "<|endoftext|>", "<|im_end|>\n<|im_start|>assistant\n")
FOREIGN = ("還會再來，很好吃，謝謝老闆", "訂單到底寄去哪裡了呢", "請幫我改地址到高雄市")
ROWS = 24
"""Rows of another script: of 640, a share that is no chance."""

BYTES: list[Plant] = [
    *(replaced("D304", label, HOME, lambda row, label=label: with_answer(row, label), split=split)
      for label in LISTED for split in ("train", "eval")),
    *(replaced("D501", f"{times} times", HOME, lambda row, times=times: with_text(row, asked(row) * times), split=split)
      for times in (30, 90) for split in ("train", "test")),
    *(replaced("D506", f"{token!r} in the text", HOME,
               lambda row, token=token: with_text(row, f"{asked(row)} {token} bye"), split=split)
      for token in CONTROL for split in ("train", "eval")),
    *(replaced("D504", "another script", HOME, lambda row, n=n: with_text(row, f"{FOREIGN[n % 3]}{n}"))
      for n in range(2 * ROWS)),
]  # fmt: skip
"""For a tokenizer that has tokens of single bytes only."""

WIDE: list[Plant] = [
    replaced("D505", "wide", HOME, lambda row: with_answer(row, "ｒｅｆｕｎｄ request"), split=split)
    for split in ("train", "train", "eval")
] + [
    replaced("D505", "ligature", HOME, lambda row: with_answer(row, "\ufb01nal_notice"), split=split)
    for split in ("train", "test")
]
"""For a tokenizer that writes wide characters as narrow ones."""
