// Any JSON value, to be read by a person.

import { disclosure, element, plural } from "./dom.js";

const MOST_ITEMS = 50;
const OPEN_UP_TO = 3;

export function shown(value) {
  if (value === null || value === undefined) return element("span", { class: "quiet" }, "none");
  if (typeof value === "string") return textShown(value);
  if (typeof value !== "object") return element("code", {}, String(value));
  const entries = Object.entries(value);
  if (!entries.length) return element("span", { class: "quiet" }, "empty");
  const list = element("dl", { class: "value" }, rows(entries.slice(0, MOST_ITEMS)));
  if (entries.length > MOST_ITEMS) {
    const more = entries.slice(MOST_ITEMS);
    const all = () => {
      button.remove();
      list.append(...rows(more));
    };
    const button = element("button", { type: "button", click: all }, `Show ${more.length} more`);
    return element("div", {}, list, button);
  }
  return list;
}

function textShown(text) {
  return element("span", { class: text ? "text" : "quiet" }, text || "empty");
}

function rows(entries) {
  return entries.flatMap(([name, value]) => [
    element("dt", {}, name),
    element("dd", {}, isLarge(value) ? folded(value) : shown(value)),
  ]);
}

const isLarge = (value) =>
  value !== null && typeof value === "object" && Object.keys(value).length > 0;

function folded(value) {
  const size = Object.keys(value).length;
  const summary = Array.isArray(value) ? plural(size, "item") : plural(size, "field");
  const hint = element("span", { class: "quiet" }, ` ${hintOf(value)}`);
  return disclosure([summary, hint], () => shown(value), { open: size <= OPEN_UP_TO && isFlat(value) });
}

const isFlat = (value) => Object.values(value).every((item) => !isLarge(item));

function hintOf(value) {
  const text = JSON.stringify(value);
  return text.length > 60 ? `${text.slice(0, 60)}…` : text;
}
