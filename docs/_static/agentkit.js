// a drawing that is wider than the screen begins where its graph does
addEventListener("load", () => {
  for (const drawing of document.querySelectorAll("figure.graph .drawing")) {
    const start = [...drawing.querySelectorAll("text")].find((text) => text.textContent === "start");
    if (!start || drawing.scrollWidth <= drawing.clientWidth) continue;
    const { left, width } = start.getBoundingClientRect();
    const middle = drawing.getBoundingClientRect().left + drawing.clientWidth / 2;
    drawing.scrollLeft += left + width / 2 - middle;
    drawing.tabIndex = 0; // so that arrow keys scroll it, too
  }
});
