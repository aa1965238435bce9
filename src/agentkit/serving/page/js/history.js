// The states that a conversation was in: shown, edited, and run on from.

import { call } from "./api.js";
import { byId, disclosure, element } from "./dom.js";
import { shown } from "./value.js";

const MOST_ROWS = 16;

export class History {
  /** onRun is called with what a person wants to run on from: {id, values, update}. */
  constructor(onRun) {
    this.onRun = onRun;
  }

  clear() {
    byId("history").replaceChildren();
  }

  /** Shows the states of a conversation, the newest first. */
  show(thread, states) {
    byId("history").replaceChildren(...states.map((state) => this.stateOf(thread, state, states)));
  }

  stateOf(thread, state, states) {
    const { values, next = [], metadata, created_at: created } = state;
    const goesOn = next.length > 0 || wasGoneOnFrom(state, states);
    const before = next.length
      ? `before ${next.join(", ").replace("__start__", "the start")}`
      : "between two steps";
    const item = element(
      "li",
      { class: "state" },
      element(
        "p",
        {},
        element("strong", {}, `${metadata?.step ?? ""} `),
        goesOn ? before : "at the end",
      ),
      element("p", { class: "quiet" }, new Date(created).toLocaleTimeString()),
      disclosure("State", () => shown(values)),
    );
    if (goesOn) item.append(...this.waysOn(thread, state, states));
    return item;
  }

  waysOn(thread, state, states) {
    const { checkpoint_id: id } = state.checkpoint;
    const again = element("button", { type: "button", click: () => this.onRun({ id, values: state.values }) }, "Run again from here");
    const buttons = element("div", { class: "row" }, again);
    const before = states.find((each) => idOf(each) === state.parent_checkpoint?.checkpoint_id);
    if (!before) return [buttons]; // what came in last is not a state yet
    const form = this.form(state.values, async (changed) => {
      if (!Object.keys(changed).length) return this.onRun({ id, values: state.values });
      const edited = await edit(thread, id, changed, before.tasks?.[0]?.name);
      return this.onRun({ ...edited, values: { ...state.values, ...changed } });
    });
    const open = element("button", { type: "button", "aria-expanded": "false" }, "Edit this state");
    const toggle = (isOpen) => {
      form.hidden = !isOpen;
      open.setAttribute("aria-expanded", String(isOpen));
      const field = form.querySelector("textarea");
      (isOpen ? field : open).focus();
      if (isOpen) field.setSelectionRange(0, 0);
    };
    open.addEventListener("click", () => toggle(form.hidden));
    form.addEventListener("keydown", ({ key }) => key === "Escape" && toggle(false));
    buttons.append(open);
    return [buttons, form];
  }

  form(values, onEdited) {
    const text = JSON.stringify(values, null, 2);
    const rows = Math.min(MOST_ROWS, text.split("\n").length + 1);
    const field = element("textarea", { rows, class: "code", spellcheck: "false" });
    field.value = text;
    const problem = element("p", { class: "problem", role: "alert" });
    const run = element("button", { type: "submit", class: "main" }, "Run from the edited state");
    const submit = async (event) => {
      event.preventDefault();
      problem.textContent = "";
      run.disabled = true;
      try {
        await onEdited(changes(values, parsed(field.value)));
      } catch (error) {
        problem.textContent = error.message;
        field.focus();
      } finally {
        run.disabled = false;
      }
    };
    return element(
      "form",
      { class: "edit", hidden: true, novalidate: true, submit },
      element("label", {}, "The state, as JSON", field),
      element("p", { class: "quiet" }, "What is left out stays as it was. Escape leaves all as it was."),
      problem,
      element("div", { class: "row" }, run),
    );
  }
}

const idOf = (state) => state.checkpoint.checkpoint_id;

/** Whether steps followed; of one that waits for others, the server does not say that it is next. */
const wasGoneOnFrom = (state, states) =>
  states.some(
    (each) =>
      each.parent_checkpoint?.checkpoint_id === idOf(state) && each.metadata?.source === "loop",
  );

function parsed(text) {
  let state;
  try {
    state = JSON.parse(text);
  } catch (error) {
    throw new Error(`This is no JSON: ${error.message}`);
  }
  if (state === null || typeof state !== "object" || Array.isArray(state)) {
    throw new Error("A state is a JSON object, with a value for each name.");
  }
  return state;
}

const isSame = (one, other) => JSON.stringify(one) === JSON.stringify(other);

function changes(before, after) {
  const names = Object.keys(after).filter((name) => !isSame(before[name], after[name]));
  return Object.fromEntries(
    names.map((name) => [
      name,
      name === "messages" ? messagesInPlace(before[name], after[name]) : after[name],
    ]),
  );
}

/** Messages are added by their ids: those that were taken out have to be removed. */
function messagesInPlace(before = [], after) {
  if (!Array.isArray(after)) return after;
  const kept = new Set(after.map((message) => message?.id));
  const gone = before.filter(({ id }) => id && !kept.has(id));
  return [...gone.map(({ id }) => ({ type: "remove", id, content: "" })), ...after];
}

/**
 * Makes a state to run on from with other values; returns the id of its checkpoint, and the update.
 *
 * The run itself updates the state: what is next stays next then, where an update beforehand has
 * the server choose it once more, without the run's settings.
 */
async function edit(thread, checkpoint, values, node) {
  const adding = await namesAddedTo(thread, checkpoint, values, node);
  const update = Object.fromEntries(
    Object.entries(values).map(([name, value]) => [
      name,
      adding.includes(name) ? { __overwrite__: value } : value,
    ]),
  );
  const copy = await write(thread, checkpoint, null, "__copy__");
  return { id: copy, update };
}

/** The names whose values are added to those that were there; tried on a copy of the thread. */
async function namesAddedTo(thread, checkpoint, values, node) {
  const lists = Object.keys(values).filter(
    (name) => name !== "messages" && typeof values[name] === "object" && values[name] !== null,
  );
  if (!lists.length) return [];
  const { thread_id: copy } = await call("POST", `threads/${thread}/copy`, {});
  try {
    const tried = await write(copy, checkpoint, values, node);
    const { values: became } = await call("GET", `threads/${copy}/state/${tried}`);
    return lists.filter((name) => !isSame(became[name], values[name]));
  } catch {
    return []; // where it goes on from there cannot be told without the run
  } finally {
    await call("DELETE", `threads/${copy}`);
  }
}

async function write(thread, checkpoint, values, node) {
  const body = { values, checkpoint: { checkpoint_id: checkpoint }, as_node: node };
  return (await call("POST", `threads/${thread}/state`, body)).checkpoint.checkpoint_id;
}
