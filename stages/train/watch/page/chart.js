// One curve with its lines as SVG. All text is inserted as text, never as HTML.

const NAMES = { train: "train", val: "val", gray: "gray" };
const LEFT = 52, RIGHT = 46, TOP = 10, BOTTOM = 24, APART = 14, DOTS = 40;

function draw(name, attributes, text) {
  const node = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  if (text !== undefined) node.textContent = text;
  return node;
}

/** Round numbers from `low` to `high`, about `count` of them. */
export function ticks(low, high, count) {
  const rough = (high - low) / count || 1, power = 10 ** Math.floor(Math.log10(rough));
  const step = power * [1, 2, 5, 10].find((factor) => factor * power >= rough);
  const found = [];
  for (let number = Math.ceil(low / step - 1e-9); number * step <= high + step * 1e-9; number += 1) {
    found.push(Number((number * step).toPrecision(12)));
  }
  return found;
}

/** The range of the values, with a little air; a range of one value is made wider. */
function range(values) {
  const low = Math.min(...values), high = Math.max(...values), air = (high - low) * 0.06 || Math.abs(high) * 0.1 || 1;
  return [low >= 0 && low < air ? 0 : low - air, high + air];
}

export class Chart {
  constructor() {
    this.figure = document.createElement("figure");
    this.caption = this.figure.appendChild(document.createElement("figcaption"));
    this.read = document.createElement("span");
    this.read.className = "read";
    this.svg = this.figure.appendChild(draw("svg", { role: "img" }));
    this.svg.addEventListener("pointermove", (event) => this.point(event.offsetX));
    this.svg.addEventListener("pointerleave", () => this.point(null));
    new ResizeObserver(() => this.render()).observe(this.svg);
  }

  show(curve) {
    this.curve = curve;
    this.caption.replaceChildren(curve.title, this.read);
    this.render();
  }

  /** The lines that have values, as [name, points]. */
  get lines() { return Object.entries(this.curve.lines); }

  /** What the lines have at an epoch, as text. */
  at(epoch) {
    const parts = this.lines.map(([name, points]) => {
      const index = points.findIndex(([step]) => step === epoch);
      return index < 0 ? "" : `${this.label(name)}${this.curve.texts[name][index]}`;
    });
    return `epoch ${epoch}: ${parts.filter(Boolean).join(", ")}`;
  }

  label(name) { return this.lines.length > 1 ? `${NAMES[name]} ` : ""; }

  render() {
    const width = this.svg.clientWidth, height = this.svg.clientHeight;
    if (!this.curve || !width) return;
    const points = this.lines.flatMap(([, line]) => line);
    this.newest = Math.max(...points.map(([epoch]) => epoch));
    this.last = Math.max(1, this.newest);
    const [low, high] = range(points.map(([, value]) => value));
    this.x = (epoch) => LEFT + (epoch / this.last) * (width - LEFT - RIGHT);
    this.y = (value) => height - BOTTOM - ((value - low) / (high - low)) * (height - TOP - BOTTOM);
    this.svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
    this.svg.setAttribute("aria-label", `${this.curve.title}, ${this.at(this.newest)}`);
    this.svg.replaceChildren(...this.axes(low, high, width, height), ...this.lines.flatMap(([name, line]) => this.line(name, line)),
      ...this.names(width));
    this.cursor = this.svg.appendChild(draw("line", { class: "cursor", y1: TOP, y2: height - BOTTOM, visibility: "hidden" }));
    this.point(null);
  }

  axes(low, high, width, height) {
    const across = ticks(low, high, 4).flatMap((value) => [
      draw("line", { class: "axis", x1: LEFT, x2: width - RIGHT, y1: this.y(value), y2: this.y(value) }),
      draw("text", { x: LEFT - 6, y: this.y(value) + 4, "text-anchor": "end" }, number(value)),
    ]);
    const down = ticks(0, this.last, Math.max(2, Math.floor(width / 90))).filter(Number.isInteger).map((epoch) =>
      draw("text", { x: this.x(epoch), y: height - 6, "text-anchor": "middle" }, epoch || "0"));
    return [...across, ...down];
  }

  line(name, points) {
    const at = points.map(([epoch, value]) => [this.x(epoch).toFixed(1), this.y(value).toFixed(1)]);
    const dots = at.length > DOTS || (name === "gray" && at.length > 1) ? [] : at.map(([cx, cy]) => draw("circle", { class: name, cx, cy, r: name === "val" ? 3 : 2 }));
    return [draw("polyline", { class: `line ${name}`, points: at.map((place) => place.join(",")).join(" ") }), ...dots];
  }

  /** The lines' names at their ends, far enough from one another. */
  names(width) {
    if (this.lines.length < 2) return [];
    const ends = this.lines.map(([name, points]) => ({ name, y: this.y(points.at(-1)[1]) + 4 })).sort((one, other) => one.y - other.y);
    for (let index = 1; index < ends.length; index += 1) ends[index].y = Math.max(ends[index].y, ends[index - 1].y + APART);
    return ends.map(({ name, y }) => draw("text", { class: "name", x: width - RIGHT + 8, y }, NAMES[name]));
  }

  /** Show the values at a place of the pointer, or without one those of the last epoch. */
  point(x) {
    const span = this.svg.clientWidth - LEFT - RIGHT;
    const epoch = x === null ? this.newest : Math.round(Math.min(1, Math.max(0, (x - LEFT) / span)) * this.newest);
    this.read.textContent = this.at(epoch);
    this.cursor?.setAttribute("visibility", x === null ? "hidden" : "visible");
    if (x !== null) for (const key of ["x1", "x2"]) this.cursor?.setAttribute(key, this.x(epoch));
  }
}

function number(value) {
  return Math.abs(value) >= 1e-3 || value === 0 ? String(value) : value.toExponential().replace("e-", "e−");
}
