// The graph as a drawing, whose nodes show what runs.

import { byId, drawn, element, plural } from "./dom.js";
import { layOut } from "./layout.js";

const STATES = {
  running: "running",
  done: "done",
  failed: "failed",
  waiting: "waiting for you",
  stopped: "stopped",
};

export class Drawing {
  /** onChoose is called with a node's id when a person picks it. */
  constructor(onChoose) {
    this.onChoose = onChoose;
    this.nodes = new Map();
    this.descriptions = new Map();
  }

  draw(name, graph) {
    const { nodes, edges, width, height } = layOut(graph);
    this.nodes = new Map(nodes.map((node) => [node.id, this.node(node)]));
    this.descriptions = new Map(nodes.map(({ id, description }) => [id, description]));
    const picture = drawn(
      "svg",
      {
        viewBox: `0 0 ${width} ${height}`,
        width,
        height,
        role: "group",
        "aria-label": `Graph ${name}: ${plural(nodes.length - 2, "step")}`,
      },
      drawn("defs", {}, arrow("arrow"), arrow("arrow-back")),
      edges.map(edgeOf),
      [...this.nodes.values()],
    );
    byId("drawing").replaceChildren(picture);
  }

  node({ id, label, description, x, y, width, height }) {
    const box = drawn("rect", {
      x: x - width / 2,
      y: y - height / 2,
      width,
      height,
      rx: isEnd(id) ? height / 2 : 6,
    });
    const text = drawn("text", { x, y, "dominant-baseline": "central" }, label);
    if (isEnd(id)) return drawn("g", { class: "node end" }, box, text);
    const choose = (event) => {
      if (event.type === "keydown" && event.key !== "Enter" && event.key !== " ") return;
      event.preventDefault();
      this.onChoose(id);
    };
    return drawn(
      "g",
      {
        class: "node",
        tabindex: 0,
        role: "button",
        "data-node": id,
        "aria-label": label,
        click: choose,
        keydown: choose,
      },
      drawn("title", {}, description ? `${id}: ${description}` : id),
      box,
      text,
    );
  }

  /** What a node does, as the graph tells it. */
  descriptionOf(id) {
    return this.descriptions.get(id) ?? "";
  }

  /** Lights the nodes by their last step. */
  show(steps) {
    const last = new Map();
    for (const step of steps) last.set(step.node, step);
    for (const [id, node] of this.nodes) {
      if (isEnd(id)) continue;
      const inside = steps.findLast((step) => step.node.startsWith(`${id}:`));
      const state = (last.get(id) ?? inside)?.state ?? "";
      node.dataset.state = state;
      const label = id.split(":").at(-1);
      node.setAttribute("aria-label", state ? `${label}, ${STATES[state]}` : label);
    }
  }
}

// where a graph, or one that is a part of it, begins and ends
const isEnd = (id) => /(^|:)__(start|end)__$/.test(id);

function arrow(id) {
  return drawn(
    "marker",
    {
      id,
      viewBox: "0 0 8 8",
      refX: 7,
      refY: 4,
      markerWidth: 7,
      markerHeight: 7,
      orient: "auto",
    },
    drawn("path", { d: "M0 0.6 L7.4 4 L0 7.4 z" }),
  );
}

function edgeOf({ points, conditional, back }) {
  const kinds = ["edge", conditional && "conditional", back && "back"];
  const marker = back ? "url(#arrow-back)" : "url(#arrow)";
  return drawn("path", {
    class: kinds.filter(Boolean).join(" "),
    d: curve(points),
    "marker-end": marker,
  });
}

// a smooth line, upright at every point
function curve(points) {
  const [[x, y], ...rest] = points;
  if (points.length === 4 && x === points[3][0]) {
    return `M${x} ${y} C${points.slice(1).map((point) => point.join(" ")).join(" ")}`;
  }
  let path = `M${x} ${y}`;
  let [fromX, fromY] = [x, y];
  for (const [toX, toY] of rest) {
    const middle = (fromY + toY) / 2;
    path += ` C${fromX} ${middle} ${toX} ${middle} ${toX} ${toY}`;
    [fromX, fromY] = [toX, toY];
  }
  return path;
}

export const noDrawing = (why) =>
  byId("drawing").replaceChildren(element("p", { class: "quiet" }, why));
