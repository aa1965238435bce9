"use strict";
// The theme, and on the page of a report finding, filtering and ordering the examples; without it
// the page shows them all.
document.getElementById("theme").addEventListener("change", (event) => {
  document.documentElement.dataset.theme = event.target.value;
});
const list = document.getElementById("list");
const items = list ? [...list.children] : [];
const find = document.getElementById("find");
const kind = document.getElementById("kind");
const order = document.getElementById("order");
const shown = document.getElementById("shown");
const open = document.getElementById("open");

function update() {
  const words = find.value.toLowerCase().split(/\s+/).filter(Boolean);
  let count = 0;
  for (const item of items) {
    const text = words.length ? item.textContent.toLowerCase() : "";
    const wanted = !kind.value || kind.value in item.dataset;
    item.hidden = !(wanted && words.every((word) => text.includes(word)));
    count += item.hidden ? 0 : 1;
  }
  shown.textContent = `${count} of ${items.length}`;
}

function arrange() {
  const key = order.value;
  // the slowest and the dearest first, as the lowest score is
  const sign = key === "seconds" || key === "tokens" ? -1 : 1;
  const at = (item, name) => Number(item.dataset[name]);
  items.sort((a, b) => sign * (at(a, key) - at(b, key)) || at(a, "place") - at(b, "place"));
  list.append(...items);
}

function toggle() {
  const wanted = items.some((item) => !item.hidden && !item.open);
  for (const item of items) if (!item.hidden) item.open = wanted;
  label();
}

function label() {
  open.textContent = items.some((item) => !item.hidden && !item.open) ? "Open all" : "Close all";
}

if (list) {
  find.addEventListener("input", update);
  kind.addEventListener("change", update);
  order.addEventListener("change", arrange);
  open.addEventListener("click", toggle);
  list.addEventListener("toggle", label, true);
  update();
}
