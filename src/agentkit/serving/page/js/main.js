// Wires the page: which graph, which conversation, and the run that goes on.

import { call, stream } from "./api.js";
import { approvals } from "./approval.js";
import { Chat } from "./chat.js";
import { byId, element } from "./dom.js";
import { Drawing, noDrawing } from "./drawing.js";
import { History } from "./history.js";
import { Run, STREAM_MODES, textOf } from "./run.js";
import { Settings } from "./settings.js";
import { Steps } from "./steps.js";

const MOST_THREADS = 50;
const MOST_STATES = 100;

const now = { assistants: [], assistant: null, schema: {}, thread: null, stop: null };

const say = (text) => (byId("status").textContent = text);

function tell(error) {
  const text = error?.message ?? String(error ?? "");
  byId("notice").replaceChildren(...(text ? [element("p", { class: "problem" }, text)] : []));
}

/** Runs what a person asked for, and tells them when it fails. */
const telling =
  (action) =>
  async (...given) => {
    try {
      tell("");
      await action(...given);
    } catch (error) {
      tell(error);
    }
  };

const chat = new Chat();
const settings = new Settings();
const drawing = new Drawing((node) => steps.reveal(node));
const changePrompt = (name, instructions) => {
  openTab("settings");
  settings.addPrompt(name, instructions);
};
changePrompt.isOffered = (name) => settings.takesPrompt(name);
const steps = new Steps(changePrompt, (node) => drawing.descriptionOf(node));
const past = new History(telling((state) => runFrom(state)));

// --- the graph ---

async function loadAssistants() {
  now.assistants = await call("POST", "assistants/search", { limit: 1000 });
  if (!now.assistants.length) throw new Error("The server has no graphs.");
  const choice = byId("graph-choice");
  const options = now.assistants.map(({ assistant_id: value, name, graph_id: graph }) =>
    element("option", { value }, name === graph ? name : `${name} (${graph})`),
  );
  choice.replaceChildren(...options);
  const wanted = decodeURIComponent(location.hash.slice(1));
  const first = now.assistants.find((each) => each.graph_id === wanted) ?? now.assistants[0];
  choice.value = first.assistant_id;
  await chooseGraph(first.assistant_id);
}

async function chooseGraph(id) {
  stopRun();
  now.assistant = now.assistants.find((each) => each.assistant_id === id);
  history.replaceState(null, "", `#${encodeURIComponent(now.assistant.graph_id)}`);
  byId("graph-description").textContent = now.assistant.description ?? "";
  newThread();
  byId("send").disabled = true; // until it is known what the graph takes
  const [schemas] = await Promise.all([
    call("GET", `assistants/${id}/schemas`),
    drawGraph(id),
    loadThreads(),
  ]);
  now.schema = schemas.input_schema ?? {};
  settings.show(schemas.context_schema);
  setBusy(false);
  byId("question-label").textContent = inputKind() === "json" ? "Input, as JSON" : "Question";
}

async function drawGraph(id) {
  try {
    drawing.draw(now.assistant.name, await call("GET", `assistants/${id}/graph?xray=true`));
  } catch (error) {
    noDrawing(`The graph cannot be drawn: ${error.message}`);
  }
}

function inputKind() {
  const properties = now.schema.properties ?? {};
  if ("question" in properties) return "question";
  return "messages" in properties ? "messages" : "json";
}

function inputOf(text) {
  const kind = inputKind();
  if (kind === "question") return { question: text };
  return kind === "messages" ? { messages: [{ role: "user", content: text }] } : JSON.parse(text);
}

// --- the conversation ---

const hint = () => `Ask ${now.assistant?.name ?? "a graph"} something.`;

function newThread() {
  stopRun();
  now.thread = null;
  chat.clear(hint());
  showRun(new Run());
  byId("approvals").replaceChildren();
  past.clear();
  markThread();
}

async function loadThreads() {
  const threads = await call("POST", "threads/search", {
    limit: MOST_THREADS,
    metadata: { graph_id: now.assistant.graph_id },
    sort_by: "updated_at",
    sort_order: "desc",
  });
  byId("thread-list").replaceChildren(...threads.map(threadOf));
  if (!threads.length) {
    byId("thread-list").append(element("li", { class: "quiet" }, "None yet."));
  }
  markThread();
}

function threadOf({ thread_id: id, values, status, updated_at: updated }) {
  const first = values?.messages?.find((message) => message.type === "human");
  const title = textOf(first?.content ?? "") || "A conversation";
  const at = new Date(updated).toLocaleString();
  const open = telling(() => openThread(id));
  return element(
    "li",
    {},
    element(
      "button",
      { type: "button", class: "thread", "data-thread": id, click: open },
      element("span", { class: "title" }, title),
      element("span", { class: "quiet" }, status === "interrupted" ? `${at} · waits for you` : at),
    ),
  );
}

function markThread() {
  for (const button of byId("thread-list").querySelectorAll("button")) {
    button.setAttribute("aria-current", String(button.dataset.thread === now.thread));
  }
}

async function openThread(id) {
  stopRun();
  now.thread = id;
  showRun(new Run());
  markThread();
  openPane("chat");
  await showState();
}

/** Shows the conversation as the server has it, what it waits for, and how it came about. */
async function showState() {
  const state = await call("GET", `threads/${now.thread}/state`);
  chat.show(state.values ?? {}, hint());
  ask(state.interrupts ?? []);
  await loadHistory();
}

async function loadHistory() {
  const states = await call("POST", `threads/${now.thread}/history`, { limit: MOST_STATES });
  past.show(now.thread, states);
}

// --- the run ---

async function send(text) {
  const input = inputOf(text);
  chat.ask(text);
  byId("question").value = "";
  await run({ input });
}

/** Runs on from an earlier state, until which the conversation is as it was then. */
async function runFrom({ id, values, update }) {
  if (now.stop) throw new Error("A run goes on; stop it first.");
  settings.read(); // what cannot be read is told before anything changes
  chat.show(values, hint());
  chat.answer("", {}, { isDone: false });
  const command = update && { update };
  await run({ input: null, command, checkpoint: { checkpoint_id: id } });
}

async function run(asked, { before = [] } = {}) {
  const context = settings.read();
  if (!now.thread) {
    const metadata = { graph_id: now.assistant.graph_id };
    now.thread = (await call("POST", "threads", { metadata })).thread_id;
  }
  const going = new Run(before);
  const stop = new AbortController();
  now.stop = stop;
  setBusy(true);
  byId("approvals").replaceChildren();
  try {
    const events = stream(
      `threads/${now.thread}/runs/stream`,
      {
        ...asked,
        assistant_id: now.assistant.assistant_id,
        context,
        stream_mode: STREAM_MODES,
        stream_subgraphs: true,
        on_disconnect: "cancel",
      },
      stop.signal,
    );
    for await (const event of events) if (going.take(event)) soon(() => showProgress(going));
  } catch (error) {
    if (!stop.signal.aborted) going.error = error.message;
  } finally {
    going.end();
    if (now.stop === stop) {
      now.stop = null;
      setBusy(false);
      showEnd(going, stop.signal.aborted);
      await Promise.all([loadThreads(), loadHistory()]);
    }
  }
}

let isDrawingSoon = false;
let drawSoon = null;

/** Draws at most once a frame, the last of what is asked for. */
function soon(draw) {
  drawSoon = draw;
  if (isDrawingSoon) return;
  isDrawingSoon = true;
  requestAnimationFrame(() => {
    isDrawingSoon = false;
    drawSoon?.();
  });
}

function showRun(going) {
  drawing.show(going.steps);
  steps.show(going.steps);
}

function showProgress(going) {
  if (!now.stop) return;
  showRun(going);
  const running = going.steps.filter((step) => step.state === "running");
  const names = [...new Set(running.map((step) => step.name))].join(", ");
  chat.answer(going.answer, going.values, {
    isDone: false,
    progress: going.progress || (names && `${names}…`),
  });
  if (names) say(`Running: ${names}`);
}

function showEnd(going, wasStopped) {
  drawSoon = null;
  showRun(going);
  const { values, interrupts, error } = going;
  const last = values.messages?.findLast((message) => message.type === "ai");
  const answer = values.answer || going.answer || textOf(last?.content ?? "");
  chat.answer(answer, interrupts.length ? {} : values, { isDone: true });
  if (error) tell(error);
  else if (!wasStopped) ask(interrupts, going.steps);
  const told = interrupts.length ? "The run waits for you." : `Answered: ${answer}`;
  say(error ? `Failed: ${error}` : wasStopped ? "Stopped." : told);
}

function ask(interrupts, before = []) {
  const decided = telling((answers) => run({ command: { resume: answers } }, { before }));
  byId("approvals").replaceChildren(...approvals(interrupts, decided));
  byId("approvals").querySelector("button.main")?.focus();
}

function stopRun() {
  now.stop?.abort();
  now.stop = null;
  setBusy(false);
}

function setBusy(isBusy) {
  byId("send").disabled = isBusy;
  byId("stop").hidden = !isBusy;
  byId("turns").setAttribute("aria-busy", String(isBusy));
}

// --- the page ---

const tabs = ["steps", "settings", "history"];

function openTab(name) {
  for (const each of tabs) {
    const isOpen = each === name;
    byId(`tab-${each}`).setAttribute("aria-selected", String(isOpen));
    byId(`tab-${each}`).tabIndex = isOpen ? 0 : -1;
    byId(`panel-${each}`).hidden = !isOpen;
  }
  openPane("details", { always: name !== "steps" });
}

// on a narrow window one part of the page is shown at a time
function openPane(name, { always = true } = {}) {
  if (!always) return;
  document.body.dataset.pane = name;
  for (const button of byId("panes").children) {
    button.setAttribute("aria-current", String(button.dataset.pane === name));
  }
}

function wireTabs() {
  const move = { ArrowRight: 1, ArrowLeft: -1 };
  for (const [index, name] of tabs.entries()) {
    const tab = byId(`tab-${name}`);
    tab.addEventListener("click", () => openTab(name));
    tab.addEventListener("keydown", ({ key }) => {
      if (!move[key]) return;
      const other = tabs.at((index + move[key]) % tabs.length);
      openTab(other);
      byId(`tab-${other}`).focus();
    });
  }
  openTab("steps");
}

function wireTheme() {
  const choice = byId("theme");
  const use = (theme) => {
    document.documentElement.dataset.theme = theme;
    choice.value = theme;
  };
  use(localStorage.getItem("theme") ?? "auto");
  choice.addEventListener("change", () => {
    localStorage.setItem("theme", choice.value);
    use(choice.value);
  });
}

function wireQuestion() {
  const question = byId("question");
  const submit = telling(async () => {
    const text = question.value.trim();
    if (text && !byId("send").disabled) await send(text);
  });
  byId("ask").addEventListener("submit", (event) => {
    event.preventDefault();
    submit();
  });
  question.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    submit();
  });
  byId("stop").addEventListener("click", () => now.stop?.abort());
}

wireTheme();
wireTabs();
wireQuestion();
byId("settings").addEventListener("submit", (event) => event.preventDefault());
byId("new-thread").addEventListener("click", () => {
  newThread();
  openPane("chat");
  byId("question").focus();
});
byId("graph-choice").addEventListener(
  "change",
  telling((event) => chooseGraph(event.target.value)),
);
for (const button of byId("panes").children) {
  button.addEventListener("click", () => openPane(button.dataset.pane));
}
telling(loadAssistants)();
