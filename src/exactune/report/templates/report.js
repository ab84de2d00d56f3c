"use strict";
(() => {
  const at = (id) => document.getElementById(id), data = at("answers-data");
  document.querySelectorAll("[data-copy]").forEach((button) => {
    const source = at(button.dataset.copy), label = button.textContent;
    const mark = () => { getSelection().selectAllChildren(source); return document.execCommand("copy"); };
    button.hidden = false;
    button.addEventListener("click", async () => {
      let copied = true;
      try { await navigator.clipboard.writeText(source.textContent); } catch { copied = mark(); }
      button.textContent = copied ? button.dataset.done : button.dataset.marked;
      setTimeout(() => { button.textContent = label; }, 2000);
    });
  });
  if (!data) return;
  const { rows, statuses } = JSON.parse(data.textContent), SIZE = 50;
  const [ID, GOLD, PREDICTED, STATUS, RIGHT, SURE, INPUT, LABELS] = rows.length ? rows[0].keys() : [];
  const body = at("answers-table").tBodies[0];
  const fields = ["which", "status", "label", "least", "most", "words"].map(at), [which, status, label, least, most, words] = fields;
  const names = statuses.map((name, index) => status ? status.options[index + 1].textContent : name);
  const texts = [];
  let only = null, order = 0, page = 0, found = [];
  const text = (row, index) => texts[index] ??= [row[ID], row[GOLD], row[PREDICTED], row[INPUT]].join("\n").toLocaleLowerCase();
  const element = (tag, content = "", kind = "") => Object.assign(document.createElement(tag), { textContent: content, className: kind });
  const percent = (share) => share === null ? "–" : share > 0 && share < 0.01 ? `${Number((100 * share).toPrecision(2))}%` : `${Math.round(100 * share)}%`;
  const line = (row) => {
    const made = element("tr"), cells = Array.from({ length: 5 }, () => made.appendChild(element("td")));
    cells[0].append(element("code", row[ID]));
    if (statuses[row[STATUS]] !== "ok") cells[0].append(" ", element("span", names[row[STATUS]], "tag poor"));
    cells[1].append(element("bdi", row[GOLD]));
    cells[2].className = row[RIGHT] ? "hit" : "miss";
    const mark = element("span", row[RIGHT] ? "✓" : "✗", "mark");
    mark.ariaHidden = "true";
    cells[2].append(mark, element("span", which.options[row[RIGHT] ? 2 : 1].textContent + " ", "hidden"), element("bdi", row[PREDICTED]));
    cells[3].className = "percent";
    cells[3].textContent = percent(row[SURE]);
    cells[4].append(element("bdi", row[INPUT], "row"));
    return made;
  };
  const show = () => {
    const pages = Math.max(1, Math.ceil(found.length / SIZE));
    page = Math.min(Math.max(page, 0), pages - 1);
    const first = page * SIZE, part = found.slice(first, first + SIZE);
    body.replaceChildren(...part.map((index) => line(rows[index])));
    at("count").textContent = `${part.length ? first + 1 : 0}–${first + part.length} / ${found.length.toLocaleString("en")}`;
    at("back").disabled = !page;
    at("on").disabled = page === pages - 1;
  };
  const apply = () => {
    const wanted = words.value.trim().toLocaleLowerCase(), low = least.value / 100, high = most.value ? most.value / 100 : 1;
    const bounded = least.value || most.value;
    found = [];
    rows.forEach((row, index) => {
      if (only && !only.has(index)) return;
      if (which.value && row[RIGHT] !== Number(which.value)) return;
      if (status?.value && row[STATUS] !== Number(status.value)) return;
      if (label?.value && !row[LABELS].includes(Number(label.value))) return;
      if (bounded && (row[SURE] === null || row[SURE] < low - 1e-9 || row[SURE] > high + 1e-9)) return;
      if (!wanted || text(row, index).includes(wanted)) found.push(index);
    });
    if (order) found.sort((one, other) => order * ((rows[one][SURE] ?? -1) - (rows[other][SURE] ?? -1)) || one - other);
    at("everything").hidden = !only;
    page = 0;
    show();
  };
  const turn = (step) => { page += step; show(); };
  fields.forEach((field) => field?.addEventListener("input", apply));
  at("back").addEventListener("click", () => turn(-1));
  at("on").addEventListener("click", () => turn(1));
  at("everything").addEventListener("click", () => { only = null; apply(); });
  document.querySelectorAll("[data-rows]").forEach((link) => {
    link.hidden = false;
    link.addEventListener("click", () => {
      only = new Set(link.dataset.rows.split(" ").map(Number));
      fields.forEach((field) => { if (field) field.value = ""; });
      apply();
    });
  });
  const head = at("sure"), sort = element("button", head.textContent, "sort");
  sort.type = "button";
  sort.addEventListener("click", () => {
    order = { 0: -1, "-1": 1, 1: 0 }[order];
    head.ariaSort = { 0: "none", "-1": "descending", 1: "ascending" }[order];
    apply();
  });
  head.replaceChildren(sort);
  at("controls").hidden = at("pager").hidden = false;
  at("static-note")?.remove();
  apply();
})();
