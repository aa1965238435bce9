// What a run does, told from the events that it streams.

export const STREAM_MODES = ["values", "messages-tuple", "custom", "debug", "events"];

export class Run {
  /** A run; one that goes on after a person's decision keeps the steps that led to it. */
  constructor(before = []) {
    this.id = null;
    this.steps = [...before]; // in the order in which they began, the parts of a step behind it
    this.part = (before.at(-1)?.part ?? -1) + 1;
    this.values = {};
    this.answer = "";
    this.progress = "";
    this.interrupts = [];
    this.error = "";
    this.messageId = null;
  }

  /** Takes one event; returns whether it changed what is shown. */
  take({ event, data }) {
    const [mode, ...inside] = event.split("|");
    if (mode === "metadata") this.id = data.run_id;
    else if (mode === "error") this.error = data.message || data.error || "The run failed.";
    else if (mode === "values") return this.takeValues(data, inside);
    else if (mode === "messages") return this.takeMessage(data[0], inside);
    else if (mode === "custom") this.progress = toldOf(data) || this.progress;
    else if (mode === "debug") return this.takeStep(data, inside);
    else if (mode === "events") return this.takeCall(data);
    return true;
  }

  takeValues(values, inside) {
    if (inside.length) return false;
    this.interrupts = values.__interrupt__ ?? [];
    this.values = { ...this.values, ...values };
    return true;
  }

  takeMessage(message, inside) {
    const isAnswer = message.type === "AIMessageChunk" || message.type === "ai";
    const text = textOf(message.content);
    if (!isAnswer || !text) return false;
    if (message.id !== this.messageId) {
      this.messageId = message.id;
      this.answer = "";
    }
    // a message that was streamed comes once more as a whole, when its step ends
    this.answer = message.type === "ai" ? text : this.answer + text;
    return true;
  }

  takeStep({ type, timestamp, payload }, inside) {
    const at = Date.parse(timestamp);
    if (type === "task") {
      // what waited for a decision begins once more
      this.steps = this.steps.filter((step) => step.id !== payload.id);
      this.begin({ ...newStep(payload, at, inside), part: this.part });
    } else if (type === "task_result") {
      const step = this.step(payload.id);
      if (!step) return false;
      Object.assign(step, ended(payload), { seconds: (at - step.began) / 1000 });
    } else return false;
    return true;
  }

  /** Puts a step behind those of the step that it is a part of, and else behind all. */
  begin(step) {
    const isWithin = (other) => other.id === step.parent || other.within.includes(step.parent);
    const last = step.parent ? this.steps.findLastIndex(isWithin) : -1;
    this.steps.splice(last < 0 ? this.steps.length : last + 1, 0, step);
  }

  takeCall({ event, name, run_id: id, data, metadata = {} }) {
    if (event !== "on_chat_model_start" && event !== "on_chat_model_end") return false;
    const place = (metadata.langgraph_checkpoint_ns ?? "").split("|").at(-1);
    const step = this.step(place.split(":").at(-1)) ?? this.running(metadata.langgraph_node);
    if (!step) return false;
    if (event === "on_chat_model_start") {
      const prompt = name.startsWith("prompt:") ? name.slice("prompt:".length) : null;
      const [messages = []] = data.input?.messages ?? [];
      step.calls.push({ id, name: prompt ?? name, prompt, messages, reply: null, usage: null });
    } else {
      const made = step.calls.find((other) => other.id === id);
      if (!made) return false;
      made.reply = data.output;
      made.usage = data.output?.usage_metadata ?? null;
    }
    return true;
  }

  step(id) {
    return this.steps.find((step) => step.id === id);
  }

  running(name) {
    return this.steps.find((step) => step.name === name && step.state === "running");
  }

  /** Marks what a run that ended early leaves unfinished. */
  end() {
    for (const step of this.steps) if (step.state === "running") step.state = "stopped";
  }
}

function newStep(task, began, inside) {
  const path = [...inside.map((part) => part.split(":")[0]), task.name];
  const within = inside.map((part) => part.split(":")[1]);
  return {
    id: task.id,
    parent: within.at(-1),
    within, // the ids of the steps that it is a part of
    name: task.name,
    node: path.join(":"),
    depth: inside.length,
    state: "running",
    input: task.input,
    output: undefined,
    error: "",
    began,
    seconds: null,
    calls: [],
  };
}

function ended({ error, result, interrupts = [] }) {
  const output = unwrapped(result);
  if (error) return { state: "failed", error: String(error), output };
  return { state: interrupts.length ? "waiting" : "done", output };
}

// LangGraph writes a value that replaces instead of adding as {value, type: "__overwrite__"}
function unwrapped(result) {
  if (result === null || typeof result !== "object" || Array.isArray(result)) return result;
  return Object.fromEntries(
    Object.entries(result).map(([name, value]) => [
      name,
      value?.type === "__overwrite__" ? value.value : value,
    ]),
  );
}

export function textOf(content) {
  if (typeof content === "string") return content;
  if (!Array.isArray(content)) return "";
  return content.map((part) => (typeof part === "string" ? part : (part.text ?? ""))).join("");
}

/** The tokens of calls, or null where no model told any. */
export function tokensOf(calls) {
  const told = calls.map((made) => made.usage).filter(Boolean);
  if (!told.length) return null;
  const sum = (field) => told.reduce((total, usage) => total + (usage[field] ?? 0), 0);
  return { input: sum("input_tokens"), output: sum("output_tokens") };
}

const TOLD_BY = ["message", "error", "query", "queries", "tables", "tool", "tools"];

function toldOf(event) {
  if (event === null || typeof event !== "object") return String(event ?? "");
  const kind = String(event.type ?? "").replaceAll("_", " ");
  const said = TOLD_BY.map((field) => event[field]).find((value) => value?.length);
  const shown = Array.isArray(said) ? said.join(" · ") : said;
  return [kind, shown].filter(Boolean).join(": ");
}
