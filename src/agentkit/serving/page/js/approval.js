// What a run that waits asks a person, and the answers it takes.

import { element } from "./dom.js";
import { shown } from "./value.js";

/**
 * A form for each thing that is asked; onDecided gets the answers by the interrupts' ids once all
 * of them are given.
 */
export function approvals(interrupts, onDecided) {
  const answers = {};
  const decide = (id, answer, form) => {
    answers[id] = answer;
    form.replaceChildren(element("p", { class: "quiet" }, "Decided."));
    if (interrupts.every((each) => each.id in answers)) onDecided(answers);
  };
  return interrupts.map(({ id, value }) => {
    const form = element("div", { class: "approval", role: "group", "aria-label": "Approval" });
    form.append(...asked(value, (answer) => decide(id, answer, form)).flat());
    return form;
  });
}

function asked(value, onAnswer) {
  if (value?.action === "approve_query") return queryAsked(value, onAnswer);
  if (value?.type === "tool_approval") return toolAsked(value, onAnswer);
  if (Array.isArray(value?.action_requests)) return toolsAsked(value, onAnswer);
  return anythingAsked(value, onAnswer);
}

function queryAsked({ queries = [], problem }, onAnswer) {
  const [query = ""] = queries;
  return [
    element("h3", {}, queries.length > 1 ? "May these queries run?" : "May this query run?"),
    problem ? element("p", { class: "problem" }, problem) : null,
    ...queries.slice(1).flatMap((other) => [
      unseenTold(other),
      element("pre", { class: "query" }, other),
    ]),
    choices({
      text: query,
      label: "Query",
      onApprove: () => onAnswer({ decision: "accept" }),
      onEdit: (edited) => onAnswer({ decision: "edit", query: edited }),
      onReject: (reason) => onAnswer({ decision: "decline", reason }),
    }),
  ].filter(Boolean);
}

function toolAsked({ name, args, description }, onAnswer) {
  return [
    element("h3", {}, `May ${name} be called?`),
    element("p", { class: "text" }, said(description)),
    choices({
      text: JSON.stringify(args, null, 2),
      label: "Arguments",
      parse: JSON.parse,
      onApprove: () => onAnswer({ type: "approve" }),
      onEdit: (edited) => onAnswer({ type: "edit", edited_action: { name, args: edited } }),
      onReject: (message) => onAnswer(message ? { type: "reject", message } : { type: "reject" }),
    }),
  ];
}

// the arguments stand in the form below what is said of the call
const said = (description) => String(description ?? "").split("\n")[0];

/** Several calls in one interrupt, which wants their decisions together. */
function toolsAsked({ action_requests: requests }, onAnswer) {
  const decisions = [];
  const decide = (index, decision, place) => {
    decisions[index] = decision;
    place.replaceChildren(element("p", { class: "quiet" }, "Decided."));
    if (requests.every((_, at) => decisions[at])) onAnswer({ decisions });
  };
  return requests.map((request, index) => {
    const place = element("div");
    place.append(...toolAsked(request, (decision) => decide(index, decision, place)));
    return place;
  });
}

function anythingAsked(value, onAnswer) {
  const field = element("textarea", { rows: 3, "aria-label": "Answer" });
  const answer = () => {
    let given = field.value;
    try {
      given = JSON.parse(given);
    } catch {
      // what is no JSON is a text
    }
    onAnswer(given);
  };
  return [
    element("h3", {}, "The run waits for an answer"),
    shown(value),
    element("p", { class: "quiet" }, "A text, or JSON where the run expects it."),
    field,
    element("div", { class: "row" }, button("Answer", answer, "main")),
  ];
}

// characters that are not seen, or that change the order in which others are
const UNSEEN = /[\u00ad\u061c\u180e\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufeff]/g;

function unseenTold(text) {
  const codes = [...new Set(text.match(UNSEEN))].map(
    (each) => `U+${each.codePointAt(0).toString(16).toUpperCase().padStart(4, "0")}`,
  );
  const told = `What you see may not be what runs: this holds characters that are not seen, or that change the order of others (${codes.join(", ")}).`;
  return codes.length ? element("p", { class: "problem" }, told) : null;
}

function choices({ text, label, parse = (given) => given, onApprove, onEdit, onReject }) {
  const field = element("textarea", { rows: Math.min(12, text.split("\n").length + 1), class: "code" });
  field.value = text;
  const reason = element("input", { type: "text" });
  const problem = element("p", { class: "problem", role: "alert" });
  const approve = () => {
    if (field.value === text) return onApprove();
    try {
      return onEdit(parse(field.value));
    } catch (error) {
      problem.textContent = `${label} cannot be read: ${error.message}`;
      return field.focus();
    }
  };
  const approveButton = button("Approve", approve, "main");
  field.addEventListener("input", () => {
    approveButton.textContent = field.value === text ? "Approve" : "Run as edited";
  });
  return element(
    "div",
    {},
    unseenTold(text),
    element("label", {}, `${label} – change it to run it otherwise`, field),
    problem,
    element("label", {}, "Why not, if you reject it", reason),
    element(
      "div",
      { class: "row" },
      approveButton,
      button("Reject", () => onReject(reason.value.trim())),
    ),
  );
}

const button = (text, click, kind) => element("button", { type: "button", class: kind, click }, text);
