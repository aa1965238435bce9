// The steps of a run: each one's input, output, prompts, tokens and seconds.

import { byId, disclosure, element, plural } from "./dom.js";
import { textOf, tokensOf } from "./run.js";
import { shown } from "./value.js";

const SIGNS = { running: "●", done: "✓", failed: "✗", waiting: "…", stopped: "–" };

export class Steps {
  /**
   * onPrompt is called with a prompt's name and instructions when a person wants to change it;
   * descriptionOf with a node's id.
   */
  constructor(onPrompt, descriptionOf) {
    this.onPrompt = onPrompt;
    this.descriptionOf = descriptionOf;
    this.places = new Map();
  }

  show(steps) {
    const list = byId("steps");
    const known = new Set(steps.map((step) => step.id));
    for (const [id, { item }] of this.places) {
      if (!known.has(id)) {
        item.remove();
        this.places.delete(id);
      }
    }
    for (const [index, step] of steps.entries()) {
      const version = `${step.state} ${step.calls.length} ${step.calls.filter((c) => c.reply).length}`;
      const known = this.places.get(step.id);
      if (known && known.step !== step) known.item.remove();
      const place = known?.step === step ? known : this.place(step);
      if (list.children[index] !== place.item) list.insertBefore(place.item, list.children[index] ?? null);
      if (place.version === version) continue;
      place.version = version;
      place.summary.replaceChildren(...summaryOf(step));
      place.item.dataset.state = step.state;
      if (place.details.open) place.body.replaceChildren(...this.bodyOf(step));
    }
    byId("totals").textContent = totalsOf(steps);
  }

  place(step) {
    const body = element("div", { class: "body" });
    const summary = element("summary");
    const details = element("details", {}, summary, body);
    details.addEventListener("toggle", () => {
      body.replaceChildren(...(details.open ? this.bodyOf(step) : []));
    });
    const item = element("li", { class: `step depth-${Math.min(step.depth, 3)}` }, details);
    item.dataset.node = step.node;
    const place = { step, item, details, summary, body, version: "" };
    this.places.set(step.id, place);
    return place;
  }

  bodyOf(step) {
    const description = this.descriptionOf(step.node);
    return [
      description ? element("p", { class: "quiet" }, description) : null,
      step.error ? element("p", { class: "problem" }, step.error) : null,
      disclosure("Input", () => shown(step.input)),
      ...step.calls.map((made) => this.callOf(made)),
      step.output === undefined ? null : disclosure("Output", () => shown(step.output)),
    ].filter(Boolean);
  }

  callOf(made) {
    const tokens = tokensOf([made]);
    const summary = `Prompt ${made.name}${tokens ? `, ${tokenText(tokens)}` : ""}`;
    const change = () => this.onPrompt(made.prompt, systemOf(made));
    return disclosure(
      summary,
      () => [
        ...made.messages.map(messageOf),
        made.reply ? messageOf({ ...made.reply, type: "reply" }) : null,
        made.prompt && this.onPrompt.isOffered(made.prompt)
          ? element("button", { type: "button", click: change }, "Change this prompt")
          : null,
      ].filter(Boolean),
      { class: "call" },
    );
  }

  /** Opens the last step of a node and moves to it. */
  reveal(node) {
    const item = [...this.places.values()]
      .map((place) => place.item)
      .findLast((each) => each.dataset.node === node || each.dataset.node.startsWith(`${node}:`));
    if (!item) return;
    item.firstChild.open = true;
    item.querySelector("summary").focus();
    item.scrollIntoView({ block: "nearest" });
  }
}

const systemOf = (made) =>
  textOf(made.messages.find((message) => message.type === "system")?.content ?? "");

function messageOf(message) {
  const calls = message.tool_calls?.length ? shown(message.tool_calls) : null;
  const text = textOf(message.content);
  return element(
    "div",
    { class: "message" },
    element("p", { class: "role" }, message.type),
    text ? element("p", { class: "text" }, text) : null,
    calls,
  );
}

function summaryOf(step) {
  const tokens = tokensOf(step.calls);
  const told = [
    tokens ? tokenText(tokens) : null,
    step.seconds === null ? null : `${step.seconds.toFixed(2)} s`,
  ];
  return [
    element("span", { class: "sign", "aria-hidden": "true" }, SIGNS[step.state]),
    element("span", { class: "name" }, step.name),
    element("span", { class: "hidden-but-read" }, ` ${step.state} `),
    element("span", { class: "quiet figures" }, told.filter(Boolean).join(" · ")),
  ];
}

const tokenText = ({ input, output }) => `${input} + ${output} tokens`;

function totalsOf(steps) {
  if (!steps.length) return "Ask something, and the steps of the run appear here.";
  const tokens = tokensOf(steps.flatMap((step) => step.calls));
  const seconds = secondsOf(steps);
  const calls = steps.flatMap((step) => step.calls).length;
  return [
    plural(steps.length, "step"),
    plural(calls, "model call"),
    tokens ? tokenText(tokens) : null,
    seconds ? `${seconds.toFixed(2)} s` : null,
  ]
    .filter(Boolean)
    .join(" · ");
}

/** The seconds that the steps took, without those in which a person was waited for. */
function secondsOf(steps) {
  const parts = Map.groupBy(steps.filter((step) => step.seconds !== null), (step) => step.part);
  return [...parts.values()].reduce((sum, part) => {
    const last = Math.max(...part.map((step) => step.began + step.seconds * 1000));
    return sum + (last - Math.min(...part.map((step) => step.began))) / 1000;
  }, 0);
}
