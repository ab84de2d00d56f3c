"""Malformed inputs and the message that each gets: what is wrong, where, what was found, what to do."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from exactune.data.load import load_paths
from exactune.errors import DataError

MALFORMED: dict[str, tuple[str | bytes, str, str]] = {
    "empty file": (
        "",
        "",
        "train.jsonl: the file is empty. Write one row per line.",
    ),
    "prose": (
        "just some prose\nand more of it\n",
        "",
        "train.jsonl: neither JSON nor a table: the first line is 'just some prose'. Write one JSON "
        "object per line, or a CSV/TSV file whose first line names the columns.",
    ),
    "broken JSON": (
        '{"text": "a", "label": "yes"}\n{"text": "a", "label": "yes"\n{"text": "a", "label": "yes"}\n',
        "D101",
        "1 row cannot be read: train.jsonl:2: not JSON: Expecting ',' delimiter (line 3, column 1); a "
        "closing brace is missing before it",
    ),
    "single quotes": (
        "{\"text\": \"a\", \"label\": \"yes\"}\n{'text': 'a', 'label': 'yes'}\n",
        "D101",
        "1 row cannot be read: train.jsonl:2: not JSON: Expecting property name enclosed in double "
        "quotes (column 2); write double quotes",
    ),
    "trailing comma": (
        '{"text": "a", "label": "yes"}\n{"text": "a", "label": "yes",}\n',
        "D101",
        "1 row cannot be read: train.jsonl:2: not JSON: Expecting property name enclosed in double "
        "quotes (column 30); a value is missing, or a comma too much stands before it",
    ),
    "two rows on a line": (
        '{"text": "a", "label": "b"}{"text": "c", "label": "d"}\n',
        "D101",
        '1 row cannot be read: train.jsonl:1: text after the object: \'{"text": "c", "label": "d"}\'; one row per line',
    ),
    "not a number": (
        '{"text": "a", "label": NaN}\n',
        "D101",
        "1 row cannot be read: train.jsonl:1: NaN is not JSON; write null or a text",
    ),
    "half a character": (
        '{"text": "\\ud83d", "label": "yes"}\n',
        "D101",
        "1 row cannot be read: train.jsonl:1: half a surrogate pair (\\ud83d) is not a character; write the whole pair",
    ),
    "duplicate key": (
        '{"text": "a", "label": "yes", "label": "no"}\n',
        "D109",
        '1 row with two values for one key: train.jsonl:1: key "label" stands twice in one object',
    ),
    "cut off": (
        '{"text": "a", "label": "yes"}\n{"text": "a", "lab',
        "D108",
        "1 row cut off by the end of the file: train.jsonl:2: the file ends within this row, without a "
        "newline: it was not written or copied to its end",
    ),
    "array not closed": (
        '[\n{"text": "a", "label": "yes"},\n{"text": "b", "label": "no"}\n',
        "D101",
        "1 row cannot be read: train.jsonl:1: the array that opens here is never closed; write a ] at "
        "its end, if nothing is missing there",
    ),
    "missing comma": (
        '[\n{"text": "a", "label": "yes"}\n{"text": "b", "label": "no"}\n]\n',
        "D101",
        "1 row cannot be read: train.jsonl:3: a comma is missing before this row",
    ),
    "a list as a row": (
        '{"text": "a", "label": "yes"}\n["a", "yes"]\n',
        "D101",
        "1 row cannot be read: train.jsonl:2: a row is an object, found a list",
    ),
    "Latin-1": (
        b'{"text": "a", "label": "yes"}\n{"text": "caf\xe9", "label": "yes"}\n',
        "D107",
        "1 row with bytes that are no text: train.jsonl:2: not UTF-8: byte 0xE9; save the file as UTF-8",
    ),
    "mixed encodings": (
        b'{"text": "\xe5\xbe\x88\xe5\xa5\xbd\xe5\x90\x83", "label": "yes"}\n'
        b'{"text": "\xba\xdc\xba\xc3\xb3\xd4", "label": "yes"}\n',
        "D107",
        "1 row with bytes that are no text: train.jsonl:2: not UTF-8: byte 0xBA; save the file as UTF-8",
    ),
    "Excel": (
        "PK\x03\x04...",
        "",
        "train.jsonl: this is an Excel or zip file. Save the sheet as CSV (UTF-8).",
    ),
    "gzip": (
        b"\x1f\x8b....",
        "",
        "train.jsonl: this is a gzip file. Unpack it first.",
    ),
    "damaged Parquet": (
        "PAR1....",
        "",
        "train.jsonl: cannot be read as Parquet: Could not open Parquet input source '<Buffer>': "
        "Parquet magic bytes not found in footer. Either the file is corrupted or this is not a parquet "
        "file. Write the file again, or as JSONL.",
    ),
    "too many fields": (
        'text,label\n"a, b",yes\na, b,yes\n',
        "D101",
        "1 row cannot be read: train.jsonl:3: 3 fields, the header has 2; quote a field that holds a comma",
    ),
    "open quote": (
        'text,label\n"a,yes\nb,no\n',
        "D101",
        "1 row cannot be read: train.jsonl:2: a quote is opened here and never closed",
    ),
    "no column name": (
        "text,,label\na,b,yes\n",
        "",
        "train.jsonl:1: column 2 has no name in the header. Name or remove it.",
    ),
    "two columns of a name": (
        "text,label,text\na,yes,b\n",
        "",
        "train.jsonl:1: two columns are named 'text' in the header. Rename one.",
    ),
    "header only": (
        "text,label\n",
        "",
        "train.jsonl: a header (text, label) without rows. Add rows below it.",
    ),
    "unknown columns": (
        '{"title": "a", "body": "long text", "kind": 1}\n',
        "D102",
        "1 row in no known format: train.jsonl:1: it has the columns `title`, `body`, `kind`; which is "
        "the input and which the answer cannot be told: write `data: {columns: {input: body, output: "
        "title}}` with the right names",
    ),
    "unknown columns, no texts": (
        '{"tokens": ["a"], "tags": [1]}\n',
        "D102",
        "1 row in no known format: train.jsonl:1: it has the columns `tokens`, `tags`",
    ),
    "plain text": (
        '{"text": "a long article"}\n',
        "D104",
        "1 row without an answer: train.jsonl:1: no `label`, which holds the answer in the format "
        "text_label; it has the column `text`; a text alone teaches no task",
    ),
    "no answer column": (
        '{"instruction": "q", "input": "x"}\n',
        "D104",
        "1 row without an answer: train.jsonl:1: no `output`, which holds the answer in the format "
        "instruction; it has the columns `instruction`, `input`",
    ),
    "null answer": (
        '{"text": "a", "label": null}\n',
        "D104",
        "1 row without an answer: train.jsonl:1: the answer is null; where null is the right answer, "
        'write the text "null"',
    ),
    "empty answer": (
        '{"text": "a", "label": " "}\n',
        "D105",
        "1 row with an empty answer: train.jsonl:1: the answer is empty",
    ),
    "empty prompt": (
        '{"text": "", "label": "yes"}\n',
        "D106",
        "1 row with an empty prompt: train.jsonl:1: no user turn has any text",
    ),
    "unknown role": (
        '{"messages": [{"role": "narrator", "content": "x"}, {"role": "user", "content": "q"}, {"role": '
        '"assistant", "content": "a"}]}\n',
        "D103",
        "1 row with turns in a wrong order: train.jsonl:1: messages[0] has the unknown role 'narrator'; "
        "known: system, developer, user, human, assistant, gpt, chatgpt, bot, model, function_call, "
        "tool_call, tool, function, observation, tool_response",
    ),
    "answer first": (
        '{"messages": [{"role": "assistant", "content": "a"}, {"role": "user", "content": "q"}, {"role":'
        ' "assistant", "content": "a"}]}\n',
        "D103",
        "1 row with turns in a wrong order: train.jsonl:1: an assistant turn stands before any user turn",
    ),
    "two answers in a row": (
        '{"messages": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}, {"role":'
        ' "assistant", "content": "a"}]}\n',
        "D103",
        "1 row with turns in a wrong order: train.jsonl:1: two assistant turns in a row; join them or "
        "add the user turn between",
    ),
    "late system turn": (
        '{"messages": [{"role": "user", "content": "q"}, {"role": "system", "content": "s"}, {"role": "a'
        'ssistant", "content": "a"}]}\n',
        "D103",
        "1 row with turns in a wrong order: train.jsonl:1: the system turn is not the first",
    ),
    "ends with the user": (
        '{"messages": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}, {"role":'
        ' "user", "content": "q"}]}\n',
        "D104",
        "1 row without an answer: train.jsonl:1: the last turn is the answer (assistant), found user",
    ),
    "tool without a call": (
        '{"messages": [{"role": "user", "content": "q"}, {"role": "tool", "content": "31"}, {"role": "as'
        'sistant", "content": "a"}]}\n',
        "D103",
        "1 row with turns in a wrong order: train.jsonl:1: a tool turn without the assistant turn "
        "before it that calls the tool",
    ),
    "call without a name": (
        '{"messages": [{"role": "user", "content": "q"}, {"role": "assistant", "tool_calls": [{"arguments": {}}]}]}\n',
        "D102",
        '1 row in no known format: train.jsonl:1: messages[1] has a tool call without a `name`: {"arguments": {}}',
    ),
    "tools that are no list": (
        '{"messages": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}], "tools"'
        ': "calculator"}\n',
        "D102",
        "1 row in no known format: train.jsonl:1: `tools` is a list or its JSON text, found 'calculator'",
    ),
    "image": (
        '{"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": "x"}]}, {"role": '
        '"assistant", "content": "a"}]}\n',
        "D102",
        "1 row in no known format: train.jsonl:1: the user turn has a part of type 'image_url'; only text can be used",
    ),
    "messages as text": (
        '{"messages": "[{}]"}\n',
        "D102",
        "1 row in no known format: train.jsonl:1: messages[0] has no `role`; its keys are none",
    ),
    "no content": (
        '{"messages": [{"role": "user", "text": "q"}]}\n',
        "D102",
        "1 row in no known format: train.jsonl:1: messages[0] has no `content`; its keys are `role`, `text`",
    ),
    "history of another shape": (
        '{"instruction": "q", "output": "a", "history": ["q", "a"]}\n',
        "D102",
        "1 row in no known format: train.jsonl:1: `history` holds [question, answer] pairs, found 'q' in it",
    ),
    "pair without chosen": (
        '{"prompt": "q", "rejected": "a"}\n',
        "D104",
        "1 row without an answer: train.jsonl:1: no `chosen`, which holds the answer in the format "
        "preference; it has the columns `prompt`, `rejected`",
    ),
    "pair of two conversations": (
        '{"chosen": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}], "rejected'
        '": [{"role": "user", "content": "c"}, {"role": "assistant", "content": "d"}]}\n',
        "D603",
        "1 row whose two answers have different prompts: train.jsonl:1: `chosen` and `rejected` differ before "
        "their last turns",
    ),
}
"""Name -> content of ``train.jsonl``, code of the finding (none for a file that cannot be used), message."""


@pytest.mark.parametrize("name", MALFORMED)
def test_the_message_is_enough_to_mend_it(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    content, code, message = MALFORMED[name]
    Path("train.jsonl").write_bytes(content if isinstance(content, bytes) else content.encode())
    if not code:
        with pytest.raises(DataError) as caught:
            load_paths(["train.jsonl"])
        assert str(caught.value) == message
        return
    (finding,) = load_paths(["train.jsonl"]).rejected
    assert (finding.code, finding.message) == (code, message)
    assert finding.fix
    assert f"{finding.locations[0]}: " in message


def test_deep_or_odd_tool_arguments_break_one_row_at_most(tmp_path: Path) -> None:
    def row(**call: object) -> dict[str, object]:
        turns = [{"role": "user", "content": "q"}, {"role": "assistant", "tool_calls": [{"function": call}]}]
        return {"messages": turns}

    deep = row(name="f", arguments="[" * 100_000)
    odd = row(name="f", arguments='{"a": NaN}')
    path = tmp_path / "train.jsonl"
    path.write_text("".join(json.dumps(item) + "\n" for item in (deep, odd)), encoding="utf-8")
    answers = [json.loads(example.answer) for example in load_paths([str(path)]).splits.train]
    assert [answer["arguments"] for answer in answers] == ["[" * 100_000, '{"a": NaN}']
