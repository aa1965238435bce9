// The conversation: questions, answers as they stream, and what they stand on.

import { byId, element } from "./dom.js";
import { answerText, evidence, showSource } from "./evidence.js";
import { textOf } from "./run.js";

export class Chat {
  clear(hint) {
    byId("turns").replaceChildren(element("p", { class: "quiet hint" }, hint));
    this.turn = null;
  }

  /** Shows the turns of a conversation that was had before; its last has evidence. */
  show(values, hint) {
    this.clear(hint);
    for (const message of values.messages ?? []) {
      const text = textOf(message.content);
      if (message.type === "human") this.ask(text);
      else if (message.type === "ai" && text) this.answer(text, {}, { isDone: true });
    }
    if (values.answer) this.answer(values.answer, values, { isDone: true });
    if (values.question) this.ask(values.question); // it is not among the messages yet
  }

  ask(question) {
    byId("turns").querySelector(".hint")?.remove();
    const answer = element("div", { class: "answer" });
    const progress = element("p", { class: "progress quiet" });
    const sources = element("div", { class: "sources" });
    const turn = element(
      "article",
      { class: "turn" },
      element("p", { class: "question text" }, question),
      answer,
      progress,
      sources,
    );
    byId("turns").append(turn);
    this.turn = { answer, progress, sources };
    turn.scrollIntoView({ block: "end" });
  }

  answer(text, values, { isDone, progress = "" }) {
    if (!this.turn) this.ask("");
    const { answer, progress: line, sources } = this.turn;
    const cite = (number) => showSource(sources, number);
    const citations = isDone ? (values.citations ?? []) : [];
    answer.replaceChildren(element("p", { class: "text" }, answerText(text, citations, cite)));
    line.textContent = isDone ? "" : progress;
    sources.replaceChildren(...(isDone ? evidence(values) : []));
    const turns = byId("turns");
    const isAtEnd = turns.scrollHeight - turns.scrollTop - turns.clientHeight < 160;
    if (isAtEnd && !isDone) turns.scrollTop = turns.scrollHeight;
  }
}
