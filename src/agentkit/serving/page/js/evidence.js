// What an answer stands on: documents with the cited words marked, queries with their rows, and
// what tools returned.

import { disclosure, element, link, plural } from "./dom.js";
import { shown } from "./value.js";

const MOST_ROWS = 100;
const SHORTEST_WORD = 4;

/** The answer's text, whose [n] lead to what they cite. */
export function answerText(text, citations, onCite) {
  const known = new Set(citations.map(labelOf));
  const parts = text.split(/(\[m?\d+\])/);
  return parts.map((part) => {
    const number = /^\[(m?\d+)\]$/.exec(part)?.[1];
    if (!known.has(number)) return part;
    const label = `Show source ${number}`;
    return element(
      "button",
      { type: "button", class: "cite", "aria-label": label, click: () => onCite(number) },
      number,
    );
  });
}

// memories are cited as [m1], all else as [1]
const isMemory = (citation) => "thread" in citation && "text" in citation;
const labelOf = (citation) => (isMemory(citation) ? `m${citation.number}` : String(citation.number));

export function evidence(values) {
  const citations = values.citations ?? [];
  if (values.outputs) return [...routesShown(values, citations), ...failuresOf(values)];
  const memories = citations.filter(isMemory);
  return [
    values.query ? queryShown(values, citations) : null,
    values.documents?.length ? documentsShown(values, citations) : null,
    citations.some((citation) => citation.tool) ? toolsShown(citations) : null,
    memories.length ? memoriesShown(memories) : null,
    ...failuresOf(values),
  ].filter(Boolean);
}

const failuresOf = ({ failures = [] }) => (failures.length ? [failuresShown(failures)] : []);

/** What each route's answer stands on, under the numbers by which the whole answer cites it. */
function routesShown({ outputs, parts = [] }, citations) {
  return Object.entries(outputs).flatMap(([route, made]) => {
    const answered = parts.filter((part) => part.route === route);
    return made.flatMap((output, index) => {
      const cited = citations
        .filter((each) => each.route === route && isOf(each.source, output))
        .map(({ number, source }) => ({ ...source, place: source.number, number }));
      const stands = evidence({ ...output, answer: answered[index]?.answer, citations: cited });
      const heading = element("h3", {}, route);
      const kinds = { class: "evidence", "aria-label": `Route ${route}` };
      return stands.length ? [element("section", kinds, heading, stands)] : [];
    });
  });
}

/** Whether what a route cites is in this output of it: a route may answer several parts. */
function isOf(source, { query, documents }) {
  if (source.query) return source.query === query;
  const document = documents?.[source.number - 1];
  return source.document_id === undefined || document?.id === source.document_id;
}

/** Opens the source with a number and moves to it. */
export function showSource(place, number) {
  const source = place.querySelector(`[data-source="${number}"]`);
  if (!source) return;
  for (let at = source; at && at !== place; at = at.parentElement) {
    if (at instanceof HTMLDetailsElement) at.open = true;
  }
  source.querySelector("summary, [tabindex]")?.focus();
  source.scrollIntoView({ block: "nearest" });
}

function documentsShown(values, citations) {
  const items = values.documents.map((document, index) => ({
    document,
    mine: citations.filter(({ number, place = number }) => place === index + 1),
    number: citations.some(({ place }) => place) ? "" : index + 1,
  }));
  const first = items.filter(({ mine }) => mine.length);
  const others = items.filter(({ mine }) => !mine.length);
  const show = ({ document, mine, number }) =>
    documentShown(document, mine[0]?.number ?? number, mine, values.answer ?? "");
  return element(
    "section",
    { class: "evidence", "aria-label": "Documents" },
    first.map(show),
    others.length
      ? disclosure(
          `${plural(others.length, "other document")}, not cited`,
          () => others.map(show),
          { class: "others" },
        )
      : null,
  );
}

function documentShown(document, number, mine, answer) {
  const { metadata = {}, page_content: content = "" } = document;
  const title = metadata.title || fileName(metadata.source) || "a document";
  const summary = [element("span", { class: "number" }, String(number)), title];
  const fill = () => [
    element("p", { class: "quiet" }, link(metadata.source, metadata.source ?? "")),
    element("p", { class: "text document" }, marked(content, wordsCited(mine, answer))),
  ];
  return disclosure(summary, fill, { open: mine.length > 0, class: "source", "data-source": number });
}

const fileName = (source) => (source ? String(source).split(/[\\/]/).at(-1) : "");

/** The quotations of an answer's citations, or where there are none the words of its statements. */
function wordsCited(citations, answer) {
  const quotes = citations.map((citation) => citation.quote).filter(Boolean);
  if (quotes.length) return quotes.map((quote) => ({ pattern: looselySpaced(quote), by: "quote" }));
  const statements = citations.map(({ start }) => statementBefore(answer, start)).join(" ");
  const words = new Set(statements.toLowerCase().match(/[\p{L}\p{N}]+/gu) ?? []);
  const telling = [...words].filter((word) => word.length >= SHORTEST_WORD || /\d/.test(word));
  if (!telling.length) return [];
  const pattern = `(?<![\\p{L}\\p{N}])(?:${telling.map(escaped).join("|")})(?![\\p{L}\\p{N}])`;
  return [{ pattern, by: "word" }];
}

function statementBefore(answer, end) {
  const before = answer.slice(0, end).replace(/(?:\[\d+\]|\s)+$/, "");
  return before.split(/[.!?]\s|\n/).at(-1) ?? "";
}

const escaped = (text) => text.replace(/[.*+?^${}()|[\]\\/-]/g, "\\$&");
const looselySpaced = (text) => text.trim().split(/\s+/).map(escaped).join("\\s+");

function marked(text, cited) {
  const parts = [];
  let at = 0;
  for (const { pattern, by } of cited) {
    for (const found of text.slice(at).matchAll(new RegExp(pattern, "giu"))) {
      parts.push({ start: at + found.index, end: at + found.index + found[0].length, by });
    }
  }
  parts.sort((one, other) => one.start - other.start);
  const shownParts = [];
  for (const { start, end, by } of parts) {
    if (start < at) continue;
    shownParts.push(text.slice(at, start));
    shownParts.push(element("mark", { class: by }, text.slice(start, end)));
    at = end;
  }
  return [...shownParts, text.slice(at)];
}

function queryShown({ query, columns = [], rows = [], truncated, attempts = [] }, citations) {
  const number = citations.find((citation) => citation.query === query)?.number;
  const count = `${plural(rows.length, "row")}${truncated ? ", and there were more" : ""}`;
  const tried = attempts.length > 1;
  return element(
    "section",
    { class: "evidence", "aria-label": "Query and rows", "data-source": number },
    element(
      "pre",
      { class: "query", tabindex: 0, "aria-label": "Query" },
      number ? element("span", { class: "number" }, String(number)) : null,
      element("code", {}, query),
    ),
    columns.length ? tableOf(columns, rows, count) : element("p", { class: "quiet" }, count),
    tried
      ? disclosure(plural(attempts.length, "attempt"), () => attempts.map(attemptShown))
      : null,
  );
}

function attemptShown({ query, outcome, problem }) {
  return element(
    "div",
    { class: "attempt" },
    element("p", {}, element("strong", {}, outcome), problem ? ` – ${problem}` : ""),
    element("pre", { class: "query" }, element("code", {}, query)),
  );
}

function tableOf(columns, rows, caption) {
  const body = element("tbody", {}, rows.slice(0, MOST_ROWS).map(rowOf));
  const kindOf = (index) => (typeof rows[0]?.[index] === "number" ? "numeric" : null);
  const head = columns.map((column, index) =>
    element("th", { scope: "col", class: kindOf(index) }, column),
  );
  const table = element(
    "table",
    {},
    element("caption", {}, caption),
    element("thead", {}, element("tr", {}, head)),
    body,
  );
  const place = element(
    "div",
    { class: "table", tabindex: 0, role: "region", "aria-label": "Rows" },
    table,
  );
  if (rows.length <= MOST_ROWS) return place;
  const all = () => {
    body.append(...rows.slice(MOST_ROWS).map(rowOf));
    button.remove();
  };
  const button = element("button", { type: "button", click: all }, `Show all ${rows.length} rows`);
  return element("div", {}, place, button);
}

const rowOf = (row) => element("tr", {}, row.map(cellOf));

function cellOf(value) {
  if (value === null) return element("td", { class: "quiet" }, "null");
  const kind = typeof value === "number" ? "numeric" : null;
  const text = typeof value === "object" ? JSON.stringify(value) : String(value);
  return element("td", { class: kind }, text);
}

function toolsShown(citations) {
  const once = [...new Map(citations.map((citation) => [citation.number, citation])).values()];
  return element(
    "section",
    { class: "evidence", "aria-label": "Tool results" },
    once.map(({ number, tool, arguments: given, sources = [] }) =>
      disclosure(
        [element("span", { class: "number" }, String(number)), tool],
        () => [
          shown(given),
          element(
            "ul",
            {},
            sources.map(({ title, url }) => element("li", {}, link(url, title || url || "a source"))),
          ),
        ],
        { class: "source", "data-source": number },
      ),
    ),
  );
}

function memoriesShown(memories) {
  return element(
    "section",
    { class: "evidence", "aria-label": "Memories" },
    memories.map((memory) =>
      disclosure(
        [element("span", { class: "number" }, labelOf(memory)), memory.text],
        () => shown(memory),
        { class: "source", "data-source": labelOf(memory) },
      ),
    ),
  );
}

function failuresShown(failures) {
  return element(
    "section",
    { class: "evidence failures", "aria-label": "What was gone on without" },
    failures.map(({ step, name, error }) =>
      element("p", {}, `Went on without ${name} (${step}): ${error}`),
    ),
  );
}
