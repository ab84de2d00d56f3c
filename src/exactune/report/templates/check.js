"use strict";
(() => {
  const table = document.getElementById("table"), controls = document.getElementById("controls");
  if (!table || !controls) return;
  const rows = [...table.tBodies[0].rows], count = document.getElementById("count");
  const code = document.getElementById("code"), words = document.getElementById("words");
  const texts = rows.map((row) => row.textContent.toLocaleLowerCase());
  const apply = () => {
    const wanted = words.value.trim().toLocaleLowerCase();
    let shown = 0;
    rows.forEach((row, index) => {
      row.hidden = (code.value && row.dataset.code !== code.value) || (wanted && !texts[index].includes(wanted));
      shown += row.hidden ? 0 : 1;
    });
    count.textContent = `${shown} / ${rows.length}`;
  };
  code.addEventListener("change", apply);
  words.addEventListener("input", apply);
  document.querySelectorAll("[data-show]").forEach((link) => link.addEventListener("click", () => {
    code.value = link.dataset.show;
    words.value = "";
    apply();
  }));
  controls.hidden = false;
  apply();
})();
