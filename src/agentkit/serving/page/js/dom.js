// Makes elements. What is shown is only ever text: nothing here reads markup.

const SVG = "http://www.w3.org/2000/svg";

export const byId = (id) => document.getElementById(id);

export function element(tag, attributes = {}, ...children) {
  return filled(document.createElement(tag), attributes, children);
}

export function drawn(tag, attributes = {}, ...children) {
  return filled(document.createElementNS(SVG, tag), attributes, children);
}

function filled(made, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === undefined || value === null || value === false) continue;
    if (typeof value === "function") made.addEventListener(name, value);
    else made.setAttribute(name, value === true ? "" : String(value));
  }
  made.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return made;
}

/** A disclosure whose content is made when it is first opened. */
export function disclosure(summary, fill, { open = false, ...attributes } = {}) {
  const made = element("details", attributes, element("summary", {}, summary));
  let isFilled = false;
  const fillOnce = () => {
    if (isFilled || !made.open) return;
    isFilled = true;
    made.append(...[fill()].flat());
  };
  made.addEventListener("toggle", fillOnce);
  made.open = open;
  fillOnce();
  return made;
}

/** A link to an address of the web; of any other address, its text alone. */
export function link(address, text) {
  const isWeb = /^https?:\/\//i.test(address ?? "");
  if (!isWeb) return element("span", {}, text);
  return element("a", { href: address, rel: "noopener noreferrer", target: "_blank" }, text);
}

export const plural = (count, one, many = `${one}s`) =>
  `${count.toLocaleString("en")} ${count === 1 ? one : many}`;
