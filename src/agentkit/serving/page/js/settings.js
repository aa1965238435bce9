// A form for what may change from run to run, made from the graph's context schema.

import { byId, element } from "./dom.js";

export class Settings {
  constructor() {
    this.fields = new Map();
    this.prompts = new Map();
  }

  /** Shows the form of a graph. */
  show(schema) {
    this.fields.clear();
    this.prompts.clear();
    const properties = Object.entries(schema?.properties ?? {});
    const form = byId("settings");
    if (!properties.length) {
      form.replaceChildren(element("p", {}, "This graph has no settings."));
    } else {
      const reset = element("button", { type: "button", click: () => this.show(schema) }, "Reset all");
      const prompts = properties.filter(([, field]) => field.langgraph_type === "prompt");
      const rows = properties
        .filter(([name, field]) => field.langgraph_type !== "prompt" && !(prompts.length && name === "prompts"))
        .map(([name, field]) => this.row(name, field));
      if (prompts.length) rows.push(this.promptRows(prompts));
      form.replaceChildren(...rows, element("div", { class: "row" }, reset));
    }
    form.oninput = () => this.count();
    this.count();
  }

  row(name, schema) {
    const field = name === "prompts" ? this.promptsField() : fieldFor(usable(schema));
    this.fields.set(name, field);
    const described = `about-${name}`;
    field.input?.setAttribute("aria-describedby", described);
    if (field.input) field.input.name = name;
    const title = element("span", { class: "name" }, name);
    const about = element("p", { class: "quiet", id: described }, schema.description ?? "");
    if (field.input) return element("div", { class: "field" }, element("label", {}, title, field.input), about);
    return element("fieldset", { class: "field" }, element("legend", {}, title), about, field.place);
  }

  /** The prompts whose texts the schema tells, each to be edited where it stands. */
  promptRows(prompts) {
    const rows = prompts.map(([name, schema]) => {
      const field = promptField(name, schema);
      this.fields.set(name, field);
      return field.place;
    });
    return element(
      "fieldset",
      { class: "field" },
      element("legend", {}, element("span", { class: "name" }, "prompts")),
      element("p", { class: "quiet" }, "What the model is told. Open one to change it for your runs."),
      rows,
    );
  }

  promptsField() {
    const list = element("div");
    const name = element("input", { type: "text", "aria-label": "Name of a prompt", placeholder: "name of a prompt" });
    const add = () => {
      if (name.value.trim()) this.addPrompt(name.value.trim(), "");
      name.value = "";
    };
    const button = element("button", { type: "button", click: add }, "Change this prompt");
    this.promptList = list;
    return {
      place: element("div", {}, list, element("div", { class: "row" }, name, button)),
      read: () => {
        const given = [...this.prompts].filter(([, field]) => field.value.trim());
        return given.length
          ? Object.fromEntries(given.map(([prompt, field]) => [prompt, field.value]))
          : undefined;
      },
    };
  }

  /** Whether a prompt of this graph can be changed for a run. */
  takesPrompt(name) {
    return this.fields.has(name) || this.fields.has("prompts");
  }

  /** Offers a prompt's instructions to be changed, and moves to them. */
  addPrompt(name, instructions) {
    const known = this.fields.get(name);
    if (known) {
      known.place.open = true;
      known.input.focus();
      return;
    }
    if (!this.prompts.has(name)) {
      const field = element("textarea", { rows: 6 });
      field.value = instructions;
      this.prompts.set(name, field);
      const remove = () => {
        this.prompts.delete(name);
        place.remove();
        this.count();
      };
      const place = element(
        "div",
        { class: "prompt" },
        element("label", {}, name, field),
        element("button", { type: "button", click: remove }, "Use the graph's own"),
      );
      this.promptList.append(place);
    }
    this.prompts.get(name).focus();
    this.count();
  }

  /** The settings that were changed; throws an Error that names a field that cannot be read. */
  read() {
    const changed = {};
    for (const [name, field] of this.fields) {
      const value = field.read(name);
      if (value !== undefined) changed[name] = value;
    }
    return changed;
  }

  count() {
    let changed = "";
    try {
      const count = Object.keys(this.read()).length;
      changed = count ? ` (${count} changed)` : "";
    } catch {
      changed = " (!)";
    }
    byId("tab-settings").textContent = `Settings${changed}`;
  }
}

/** The schema of a value, without the null that many fields also take. */
function usable(schema) {
  const { anyOf, type, ...rest } = schema;
  if (anyOf) return { ...rest, ...usable(anyOf.find((one) => one.type !== "null") ?? {}) };
  if (Array.isArray(type)) return { ...rest, type: type.find((one) => one !== "null") };
  return schema;
}

function fieldFor(schema) {
  if (schema.enum) return choiceField(schema, schema.enum.map((value) => [String(value), value]));
  if (schema.type === "boolean") return choiceField(schema, [["yes", true], ["no", false]]);
  if (schema.type === "integer" || schema.type === "number") return numberField(schema);
  if (schema.type === "string") return textField(schema);
  return jsonField(schema);
}

function choiceField(schema, values) {
  const own = values.find(([, value]) => value === schema.default)?.[0];
  const options = [["", own ? `as built (${own})` : "as built"], ...values.map(([text]) => [text, text])];
  const input = element("select", {}, options.map(([value, text]) => element("option", { value }, text)));
  const read = () => values.find(([text]) => text === input.value)?.[1];
  return { input, read };
}

function numberField(schema) {
  const input = element("input", {
    type: "number",
    min: schema.minimum ?? schema.exclusiveMinimum,
    max: schema.maximum ?? schema.exclusiveMaximum,
    step: schema.type === "integer" ? 1 : "any",
    placeholder: schema.default ?? "as built",
  });
  const read = (name) => {
    const range = [schema.minimum, schema.maximum].map((bound) => bound ?? "…").join(" to ");
    if (!input.checkValidity()) {
      throw new Error(`The setting ${name} is ${aOf(schema.type)} (${range}).`);
    }
    return input.value === "" ? undefined : Number(input.value);
  };
  return { input, read };
}

const aOf = (type) => (type === "integer" ? "an integer" : "a number");

function textField(schema) {
  const input = element("input", { type: "text", placeholder: schema.default ?? "as built" });
  return { input, read: () => input.value.trim() || undefined };
}

function promptField(name, { default: own = "" }) {
  const input = element("textarea", { rows: 8, "aria-label": name, name });
  input.value = own;
  const isChanged = () => input.value.trim() !== "" && input.value !== own;
  const reset = () => {
    input.value = own;
    input.dispatchEvent(new Event("input", { bubbles: true }));
  };
  const mark = element("span", { class: "quiet" });
  input.addEventListener("input", () => (mark.textContent = isChanged() ? " changed" : ""));
  const place = element(
    "details",
    { class: "prompt" },
    element("summary", {}, name, mark),
    input,
    element("button", { type: "button", click: reset }, "Use the graph's own"),
  );
  return { input, place, read: () => (isChanged() ? input.value : undefined) };
}

function jsonField(schema) {
  const own = JSON.stringify(schema.default ?? null);
  const placeholder = own === "null" ? "JSON" : own;
  const input = element("textarea", { rows: 2, class: "code", placeholder });
  const read = (name) => {
    if (!input.value.trim()) return undefined;
    try {
      return JSON.parse(input.value);
    } catch (error) {
      throw new Error(`The setting ${name} is JSON: ${error.message}`);
    }
  };
  return { input, read };
}
