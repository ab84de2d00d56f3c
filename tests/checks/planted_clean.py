"""Clean data of several kinds in English and Chinese: the bundled examples, and rows made from patterns."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from typing import Any

from planted_intents import INTENTS, OPENINGS
from planted_words import CHINESE, ENGLISH, fill

Row = dict[str, Any]
Splits = dict[str, list[Row]]

EXAMPLES = Path(__file__).parents[2] / "examples"
SIZES = {"train": 500, "eval": 70, "test": 70}
WORDS = {"en": ENGLISH, "zh": CHINESE}

FINDS = {"en": "Extract the order as JSON.", "zh": "從訊息擷取訂單，只輸出 JSON。"}
ORDERS = {
    "en": [
        "Hi, {person} here. Please send {count} of the {thing} to {place}, {city}, at {amount}.50 each. Ring {phone}.",
        "We need the {thing} ({count} pieces) by {day}. Deliver to {place}, {city}, thanks, {person}",
        "{person}, {firm}: quote for {count} x {thing}, {amount}.50 apiece was agreed. My number is {phone}.",
        "Could you put aside {count} of the {thing}? I will collect them on {day}. {person}",
        "Reorder from {firm}: {thing}, quantity {count}, {amount}.50 per unit, same warehouse at {place}, {city}.",
        "Can {person} get the {thing} at {place}, {city} on {day}? {count} would do. Phone {phone}",
    ],
    "zh": [
        "您好，我是{person}，要{count}個{thing}，單價{amount}.5元，送到{city}{place}，電話{phone}。",
        "{thing}{count}組，{day}前要到，地址{city}{place}，{person}，謝謝",
        "{firm}的{person}：上次談好{thing}每個{amount}.5元，這次訂{count}個，請打{phone}。",
        "幫我留{count}個{thing}，{day}我自己過去拿，姓名{person}。",
        "{firm}追加訂單：{thing}，數量{count}，單價{amount}.5，一樣送{city}{place}的倉庫。",
        "可以請{person}在{day}於{city}{place}收{thing}嗎？{count}個就好，手機{phone}",
    ],
}
TYPES = {"person": "PER", "firm": "ORG", "city": "LOC", "thing": "PRODUCT"}
NEWS = {
    "en": [
        "{person} opened a branch of {firm} in {city} on {day}.",
        "In {city}, {firm} took the {thing} off the shelves after {count} complaints.",
        "Shares rose {count} per cent on {day} when {person} was named {job}.",
        "The {thing} of {firm} was shown in {city} by {job} {person}.",
        "Rain closed the fair of {city} for {count} days, losses reach {amount} thousand.",
        "{firm} moves {count} jobs to {city}, said {person}, its {job}.",
    ],
    "zh": [
        "{person}{day}在{city}替{firm}開了新門市。",
        "{city}賣場接到{count}件投訴，{firm}的{thing}全數下架。",
        "{day}宣布由{person}出任{job}，股價上漲{count}個百分點。",
        "{firm}{job}{person}在{city}展示{thing}。",
        "連日大雨，{city}展覽停辦{count}天，損失約{amount}萬元。",
        "{person}表示，{firm}將把{count}個職缺移到{city}。",
    ],
}
LINKS = {
    "works_for": ("person", "firm", {"en": "{person}, {job} of {firm},", "zh": "{firm}{job}{person}"}),
    "based_in": ("firm", "city", {"en": "{firm}, which has its seat in {city},", "zh": "總部設在{city}的{firm}"}),
    "lives_in": ("person", "city", {"en": "{person}, a resident of {city},", "zh": "家住{city}的{person}"}),
}
TAILS = {
    "en": ["sold {count} of the {thing} on {day}.", "lost {amount} thousand by {day}.", "hired {count} people."],
    "zh": ["在{day}賣出{count}個{thing}。", "到{day}為止虧損{amount}萬元。", "一口氣錄取{count}人。"],
}
ASKED = {
    "en": ["How do I store the {thing} in {city} over winter?", "Name one use of {count} metres of rope by {day}.",
           "Draft a reply to {person} of {firm} about {order}.", "What does {amount} minus {count} make?"],
    "zh": ["{thing}在{city}的冬天怎麼收？", "{count}公尺的繩子在{day}前能拿來做什麼？",
           "替我回{firm}的{person}，單號{order}。", "{amount}減{count}是多少？"],
}  # fmt: skip
TOLD = {
    "en": ["Keep it dry, {person} of {firm} does so.", "About {amount}.", "Thank them for {order} and name {day}.",
           "Nothing at all.", "It depends on {city} and on the {thing}, ask {person} before {day}."],
    "zh": ["保持乾燥，{firm}的{person}就是這樣。", "大約{amount}。", "先謝謝對方，再提{day}和{order}。",
           "什麼都不用做。", "要看{city}和{thing}，{day}以前先問{person}。"],
}  # fmt: skip


def chat(system: str, text: str, answer: str) -> Row:
    roles = zip(("system", "user", "assistant"), (system, text, answer), strict=True)
    return {"messages": [{"role": role, "content": content} for role, content in roles]}


def asked(row: Row) -> str:
    """What a row of any of the formats here asks."""
    turns = row.get("messages") or row.get("chosen")
    if isinstance(turns, list):
        return str(next(turn["content"] for turn in turns if turn["role"] == "user"))
    return str(next(row[key] for key in ("text", "input", "prompt") if key in row))


def dumped(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def intent(language: str, chance: Random) -> Row:
    label = chance.choice(list(INTENTS[language]))
    pattern = [chance.choice(OPENINGS[language]), chance.choice(INTENTS[language][label])]
    values = fill(WORDS[language], chance)
    return {"text": WORDS[language].joint.join(pattern).format(**values), "label": label}


def order(language: str, chance: Random) -> Row:
    pattern, values = chance.choice(ORDERS[language]), fill(WORDS[language], chance)
    held: dict[str, Any] = {
        name: values[slot] if "{" + slot + "}" in pattern else None
        for name, slot in (("customer", "person"), ("company", "firm"), ("item", "thing"), ("city", "city"),
                           ("due", "day"), ("phone", "phone"))
    }  # fmt: skip
    held["quantity"] = int(values["count"])
    held["price"] = float(values["amount"]) + 0.5 if "{amount}" in pattern else None
    return {"instruction": FINDS[language], "input": pattern.format(**values), "output": dumped(held)}


def news(language: str, chance: Random) -> Row:
    pattern, values = chance.choice(NEWS[language]), fill(WORDS[language], chance)
    text = pattern.format(**values)
    slots = sorted((slot for slot in TYPES if "{" + slot + "}" in pattern), key=lambda slot: text.find(values[slot]))
    if language == "zh":
        return {"text": text, "label": {TYPES[slot]: [values[slot]] for slot in slots}}
    items = [
        {"text": values[slot], "type": TYPES[slot], "start": (at := text.find(values[slot])),
         "end": at + len(values[slot])}
        for slot in slots
    ]  # fmt: skip
    return chat("List the entities with their offsets as JSON.", text, dumped(items))


def relation(language: str, chance: Random) -> Row:
    kind = chance.choice(list(LINKS))
    head, tail, patterns = LINKS[kind]
    pattern = patterns[language] + WORDS[language].joint + chance.choice(TAILS[language])
    values = fill(WORDS[language], chance)
    slots = [slot for slot in TYPES if "{" + slot + "}" in pattern]
    answer = {
        "entities": [{"text": values[slot], "type": TYPES[slot]} for slot in slots],
        "relations": [{"head": values[head], "type": kind, "tail": values[tail]}],
    }
    return {"prompt": pattern.format(**values), "completion": dumped(answer)}


def preference(language: str, chance: Random) -> Row:
    question = chance.choice(ASKED[language]).format(**fill(WORDS[language], chance))
    first, second = chance.sample(TOLD[language], 2)
    told = [pattern.format(**fill(WORDS[language], chance)) for pattern in (first, second)]
    if language == "zh":
        return {"prompt": question, "chosen": told[0], "rejected": told[1]}
    sides = [[{"role": "user", "content": question}, {"role": "assistant", "content": answer}] for answer in told]
    return {"chosen": sides[0], "rejected": sides[1]}


def made(make: Callable[[str, Random], Row], language: str, seed: int) -> Splits:
    chance = Random(seed)
    rows = unlike(make(language, chance) for _ in iter(int, 1))
    return {split: [next(rows) for _ in range(number)] for split, number in SIZES.items()}


def unlike(rows: Iterator[Row]) -> Iterator[Row]:
    """Rows that do not ask what another has asked."""
    seen: set[str] = set()
    for row in rows:
        if asked(row) not in seen:
            seen.add(asked(row))
            yield row


def example(name: str) -> Splits:
    """A bundled example."""
    paths = {split: EXAMPLES / name / f"{split}.jsonl" for split in SIZES}
    return {
        split: [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n") if line]
        for split, path in paths.items()
    }


CLEAN: dict[str, Callable[[], Splits]] = {
    "finance_zh": lambda: example("finance-sentiment-zh"),
    "contacts_en": lambda: example("contact-extraction-en"),
    "news_zh": lambda: example("news-entities-zh"),
    "intents_en": lambda: made(intent, "en", 1),
    "intents_zh": lambda: made(intent, "zh", 2),
    "orders_en": lambda: made(order, "en", 3),
    "orders_zh": lambda: made(order, "zh", 4),
    "spans_en": lambda: made(news, "en", 5),
    "types_zh": lambda: made(news, "zh", 6),
    "relations_en": lambda: made(relation, "en", 7),
    "relations_zh": lambda: made(relation, "zh", 8),
    "preference_en": lambda: made(preference, "en", 9),
    "preference_zh": lambda: made(preference, "zh", 10),
}
