// The LangGraph server's API, which the view forwards from /api.

const JSON_TYPE = { "content-type": "application/json" };

/** The view's answer, or an error that says that there is none. */
async function fetched(path, options) {
  try {
    return await fetch(`/api/${path}`, options);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Error("The view cannot be reached. Does agentkit view still run?");
  }
}

export async function call(method, path, body) {
  const reply = await fetched(path, {
    method,
    headers: body === undefined ? {} : JSON_TYPE,
    body: body === undefined ? undefined : JSON.stringify(body),
  });
  if (!reply.ok) throw new Error(await problem(reply));
  return reply.status === 204 ? null : reply.json();
}

/** Starts a run, and yields its events as {event, data}. */
export async function* stream(path, body, signal) {
  const reply = await fetched(path, {
    method: "POST",
    headers: JSON_TYPE,
    body: JSON.stringify(body),
    signal,
  });
  if (!reply.ok) throw new Error(await problem(reply));
  const reader = reply.body.pipeThrough(new TextDecoderStream()).getReader();
  let waiting = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    const blocks = (waiting + value).split(/\r?\n\r?\n/);
    waiting = blocks.pop();
    for (const block of blocks) {
      const event = parsed(block);
      if (event) yield event;
    }
  }
}

// Source: the WHATWG HTML standard, "Interpreting an event stream".
function parsed(block) {
  let event = "message";
  const data = [];
  for (const line of block.split(/\r?\n/)) {
    const [, field, value] = /^([^:]*):? ?(.*)$/.exec(line) ?? [];
    if (field === "event") event = value;
    else if (field === "data") data.push(value);
  }
  if (!data.length) return null;
  try {
    return { event, data: JSON.parse(data.join("\n")) };
  } catch {
    return null; // half an event, of a stream that broke off
  }
}

async function problem(reply) {
  const text = await reply.text();
  try {
    const told = JSON.parse(text).detail ?? text;
    return typeof told === "string" ? told : JSON.stringify(told);
  } catch {
    return text || `The server answered ${reply.status}.`;
  }
}
