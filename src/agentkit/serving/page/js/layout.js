// Places a graph's nodes in ranks, one under the other, so that edges run downwards.
// Source: K. Sugiyama, S. Tagawa and M. Toda, "Methods for Visual Understanding of Hierarchical
// System Structures", IEEE SMC 11(2), 1981: cycles are broken, nodes ranked by the longest path,
// long edges cut into hops, and ranks ordered by barycentres.

const NODE_HEIGHT = 28;
const RANK_GAP = 26;
const NODE_GAP = 18;
const HOP_WIDTH = 14;
const BOW = 22;
const CHARACTER_WIDTH = 7.3;
const PADDING = 16;
const SWEEPS = 12;

/** Returns {nodes: [{id, label, x, y, width, height}], edges: [{…, points, back}], width, height}. */
export function layOut(graph) {
  const nodes = new Map(graph.nodes.map((node) => [node.id, newNode(node)]));
  const edges = graph.edges.filter(({ source, target }) => nodes.has(source) && nodes.has(target));
  const back = backEdges(nodes, edges);
  rank(nodes, edges.filter((edge) => !back.has(edge)), back);
  const chains = new Map();
  const ranks = [];
  for (const node of nodes.values()) (ranks[node.rank] ??= []).push(node);
  for (const edge of edges) {
    if (edge.source !== edge.target) chains.set(edge, chained(nodes, ranks, edge));
  }
  order(ranks);
  const width = place(ranks);
  return {
    nodes: [...nodes.values()],
    edges: edges.map((edge) => ({
      ...edge,
      back: back.has(edge),
      points: pointsOf(edge, chains.get(edge), nodes, back.has(edge)),
    })),
    width,
    height: ranks.length * (NODE_HEIGHT + RANK_GAP) - RANK_GAP + 2 * PADDING,
  };
}

function newNode({ id, metadata }) {
  const path = id.split(":");
  const name = path.pop();
  const end = { __start__: "start", __end__: "end" }[name];
  const label = end ? [...path, end].join(" ") : name;
  const width = Math.max(54, label.length * CHARACTER_WIDTH + 22);
  const description = metadata?.description ?? "";
  return { id, label, description, width, height: NODE_HEIGHT, rank: 0, above: [], below: [] };
}

function backEdges(nodes, edges) {
  const leaving = new Map([...nodes.keys()].map((id) => [id, []]));
  for (const edge of edges) leaving.get(edge.source).push(edge);
  const back = new Set();
  const state = new Map();
  const visit = (id) => {
    state.set(id, "open");
    for (const edge of leaving.get(id)) {
      if (state.get(edge.target) === "open") back.add(edge);
      else if (!state.has(edge.target)) visit(edge.target);
    }
    state.set(id, "closed");
  };
  for (const id of ["__start__", ...nodes.keys()]) {
    if (nodes.has(id) && !state.has(id)) visit(id);
  }
  return back;
}

function rank(nodes, forward) {
  // without cycles, as many rounds as there are nodes settle every longest path
  for (let round = 0; round < nodes.size; round++) {
    for (const { source, target } of forward) {
      const lowest = nodes.get(source).rank + 1;
      nodes.get(target).rank = Math.max(nodes.get(target).rank, lowest);
    }
  }
  const end = nodes.get("__end__");
  if (end) end.rank = Math.max(...[...nodes.values()].map((node) => node.rank), end.rank);
}

/** The edge's ends and hops, from the top down, each joined to the next. */
function chained(nodes, ranks, edge) {
  const ends = [nodes.get(edge.source), nodes.get(edge.target)];
  const [top, bottom] = ends[0].rank <= ends[1].rank ? ends : ends.toReversed();
  const chain = [top];
  for (let at = top.rank + 1; at < bottom.rank; at++) {
    const hop = { isHop: true, width: HOP_WIDTH, height: NODE_HEIGHT, rank: at, above: [], below: [] };
    ranks[at].push(hop);
    chain.push(hop);
  }
  chain.push(bottom);
  for (let i = 1; i < chain.length; i++) {
    chain[i - 1].below.push(chain[i]);
    chain[i].above.push(chain[i - 1]);
  }
  return chain;
}

function order(ranks) {
  const number = (row) => row.forEach((node, index) => (node.at = index));
  ranks.forEach(number);
  for (let sweep = 0; sweep < SWEEPS; sweep++) {
    const down = sweep % 2 === 0;
    for (const row of down ? ranks : ranks.toReversed()) {
      for (const node of row) node.centre = mean(down ? node.above : node.below, "at") ?? node.at;
      row.sort((one, other) => one.centre - other.centre);
      number(row);
    }
  }
}

function place(ranks) {
  for (const row of ranks) {
    let x = 0;
    for (const node of row) {
      node.x = x + node.width / 2;
      node.y = PADDING + node.rank * (NODE_HEIGHT + RANK_GAP) + NODE_HEIGHT / 2;
      x += node.width + NODE_GAP;
    }
    const shift = (x - NODE_GAP) / 2;
    for (const node of row) node.x -= shift;
  }
  // each rank is pulled under its neighbours, in its order and without overlap
  for (let sweep = 0; sweep < SWEEPS; sweep++) {
    for (const row of sweep % 2 ? ranks.toReversed() : ranks) pull(row);
  }
  const all = ranks.flat();
  const left = Math.min(...all.map((node) => node.x - node.width / 2)) - PADDING;
  for (const node of all) node.x -= left;
  return Math.max(...all.map((node) => node.x + node.width / 2)) + PADDING;
}

function pull(row) {
  const wanted = row.map((node) => mean([...node.above, ...node.below], "x") ?? node.x);
  const apart = (i) => (row[i - 1].width + row[i].width) / 2 + NODE_GAP;
  const fromLeft = [...wanted];
  for (let i = 1; i < row.length; i++) {
    fromLeft[i] = Math.max(wanted[i], fromLeft[i - 1] + apart(i));
  }
  const fromRight = [...wanted];
  for (let i = row.length - 2; i >= 0; i--) {
    fromRight[i] = Math.min(wanted[i], fromRight[i + 1] - apart(i + 1));
  }
  // the mean of two placements that keep their distances keeps them, too
  row.forEach((node, i) => (node.x = (fromLeft[i] + fromRight[i]) / 2));
}

function pointsOf(edge, chain, nodes, isBack) {
  if (!chain) {
    const { x, y, width } = nodes.get(edge.source);
    const right = x + width / 2;
    return [[right, y - 7], [right + 20, y - 12], [right + 20, y + 12], [right, y + 7]];
  }
  const points = chain.map(({ x, y }) => [x, y]);
  points[0][1] += NODE_HEIGHT / 2;
  points.at(-1)[1] -= NODE_HEIGHT / 2;
  if (isBack && chain.length === 2) {
    // beside the edge that leads down, and not on it
    points.splice(1, 0, [Math.max(points[0][0], points[1][0]) + BOW, (points[0][1] + points[1][1]) / 2]);
  }
  return nodes.get(edge.source).rank <= nodes.get(edge.target).rank ? points : points.reverse();
}

function mean(nodes, field) {
  if (!nodes.length) return null;
  return nodes.reduce((sum, node) => sum + node[field], 0) / nodes.length;
}
