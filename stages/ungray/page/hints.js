// Hints on the photo that is shown: points of known color. They are set, moved, recolored and removed by mouse,
// touch and keyboard; every change asks for the photo's colors anew.

import { atLightness, colorName, hex, lab } from "./color.js";

const find = (name) => document.querySelector(name);
const RECENT = 8;
const BRUSH = 0.05; // the distance of two hints of a stroke, as a part of the photo's short side
const STEP = 0.02; // how far an arrow key moves, likewise
const MANY = 30; // hints of which the photo would be covered: they are drawn smaller
const CLICK = 4; // pixels that a pointer may move in a click

export class Hints {
  constructor(page) {
    this.page = page;
    this.recent = [];
    this.likely = []; // colors at the hint that is chosen
    this.palette = []; // colors of another photo
    this.at = { x: 0.5, y: 0.5 }; // the crosshair, as a part of the photo's width and height
    this.pixels = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
    this.listen();
  }

  allow(allowed) {
    this.allowed = allowed;
    for (const part of ["#hints", "#points", "#crosshair", "#lend"]) find(part).hidden = !allowed;
  }

  // Show the hints of a photo; the picker closes.
  show(photo) {
    this.photo = photo;
    find("#others").hidden = true;
    this.choose(undefined);
    this.draw();
  }

  // ---- Changes, all of which can be undone

  change(hints, { chosen = this.chosen, joined = false } = {}) {
    const { photo } = this;
    if (!joined) photo.done.push(photo.hints);
    photo.undone = [];
    photo.hints = hints;
    this.chosen = chosen;
    this.draw();
    this.colored = this.page.change();
  }

  travel(from, to) {
    if (!from.length) return;
    to.push(this.photo.hints);
    this.photo.hints = from.pop();
    this.choose(undefined);
    this.draw();
    this.colored = this.page.change();
  }

  undo() { this.travel(this.photo.done, this.photo.undone); }
  redo() { this.travel(this.photo.undone, this.photo.done); }

  set(x, y, color = this.predicted(x, y), options = {}) {
    const hint = { x, y, color: this.at_lightness(color, x, y), weight: 1 };
    this.change([...this.photo.hints, hint], { chosen: options.quietly ? undefined : this.photo.hints.length, ...options });
    if (!options.quietly) this.pick();
    this.uncover(x);
  }

  edit(index, values, options) {
    this.change(this.photo.hints.map((hint, n) => (n === index ? { ...hint, ...values } : hint)), options);
  }

  recolor(color) {
    this.remember(color);
    if (this.chosen === undefined) { this.draw(); this.offer(); return; }
    const { x, y } = this.photo.hints[this.chosen];
    this.edit(this.chosen, { color: this.at_lightness(color, x, y) });
    this.offer();
  }

  remove(index) {
    const focused = find("#points").children[index] === document.activeElement;
    this.change(this.photo.hints.filter((_, n) => n !== index), { chosen: undefined });
    this.choose(undefined);
    if (focused) (find("#points").children[Math.min(index, this.photo.hints.length - 1)] ?? find("#crosshair")).focus();
  }

  remember(color) {
    this.color = color;
    this.recent = [color, ...this.recent.filter((one) => one !== color)].slice(0, RECENT);
  }

  // ---- What lies at a place

  pixel(picture, x, y) {
    const image = find(picture), { naturalWidth: width, naturalHeight: height } = image;
    if (!width) return [128, 128, 128];
    const column = Math.min(width - 1, Math.floor(x / this.photo.width * width));
    const row = Math.min(height - 1, Math.floor(y / this.photo.height * height));
    this.pixels.drawImage(image, column, row, 1, 1, 0, 0, 1, 1);
    return [...this.pixels.getImageData(0, 0, 1, 1).data].slice(0, 3);
  }

  predicted(x, y) { return hex(this.pixel("#colored", x, y)); }
  lightness(x, y) { return lab(this.pixel("#gray", x, y))[0]; }
  at_lightness(color, x, y) { return atLightness(color, this.lightness(x, y)); }

  // A hint on the gray side would not be seen to work.
  uncover(x) {
    const { divider } = this.page;
    if (100 * x / this.photo.width > Number(divider.value)) return;
    divider.value = 0;
    this.page.divide();
  }

  // ---- The picker

  choose(index) {
    this.chosen = index;
    find("#picker").hidden = index === undefined && !this.brushing;
    this.mark();
  }

  pick() {
    this.choose(this.chosen);
    this.offer();
    this.askLikely();
  }

  async askLikely() {
    const { photo, chosen } = this, hint = photo.hints[chosen];
    this.likely = [];
    if (!hint) return;
    await this.colored; // first the answer that the person looks at: both at a time would take longer
    if (this.photo !== photo || this.chosen !== chosen) return;
    // Without the hint itself: its color would be the likeliest.
    const settings = { ...this.page.settings(photo), hints: photo.hints.filter((one) => one !== hint) };
    const colors = await this.page.server.likely(photo.id, { ...settings, x: hint.x, y: hint.y }).catch(() => []);
    if (this.photo !== photo || this.chosen !== chosen) return; // meanwhile another one was chosen
    this.likely = colors;
    this.offer();
  }

  // Four other colorings, each a set of hints to go on from.
  async showOthers() {
    const { photo } = this, box = find("#others");
    try {
      const others = await this.page.server.others(photo.id, this.page.settings(photo));
      if (this.photo !== photo) return;
      box.hidden = false;
      box.replaceChildren(...others.map(({ hints, picture }, index) => {
        const button = Object.assign(document.createElement("button"), { type: "button" });
        button.append(Object.assign(new Image(), { src: picture, alt: `Take coloring ${index + 1}` }));
        button.addEventListener("click", () => {
          this.change(hints, { chosen: undefined });
          this.choose(undefined);
        });
        return button;
      }));
    } catch (error) {
      this.page.complain(photo, "No other colorings", error);
    }
  }

  // Colors of another photo: hints where places look alike, and its palette for all others.
  async refer(file) {
    const { photo, page } = this;
    page.status(`Looking for places that look alike in ${file.name}…`);
    try {
      const { hints, palette, reason } = await page.server.reference(photo.id, file, page.settings(photo).model);
      if (this.photo !== photo) return;
      this.palette = palette;
      if (hints.length) this.change([...photo.hints, ...hints], { chosen: undefined });
      this.choose(undefined);
      page.status(hints.length ? `${hints.length} hints were taken from ${file.name}; its palette is offered, too.`
        : `No colors were taken from ${file.name}: ${reason}. Its palette is offered for each hint.`);
    } catch (error) {
      page.status("");
      page.complain(photo, `No colors were taken from ${file.name}`, error);
    }
  }

  offer() {
    const hint = this.photo.hints[this.chosen];
    find("#picked").textContent = hint
      ? `Hint ${this.chosen + 1}: ${colorName(hint.color)}. Its lightness stays the photo’s.`
      : "Color of the brush: drag over the photo.";
    find("#any").value = hint?.color ?? this.color ?? "#aa3322";
    find("#weight").value = hint?.weight ?? 1;
    find("#weight").disabled = find("#remove-hint").disabled = !hint;
    const groups = [["Likely here", this.likely], ["From the other photo", this.palette], ["Recent", this.recent]].filter(([, colors]) => colors.length);
    find("#swatches").replaceChildren(...groups.map(([title, colors]) => {
      const group = document.createElement("div");
      group.role = "group";
      group.ariaLabel = title;
      group.append(Object.assign(document.createElement("span"), { textContent: title }), ...colors.map((color) => {
        const seen = hint ? this.at_lightness(color, hint.x, hint.y) : color;
        const swatch = Object.assign(document.createElement("button"), { type: "button", className: "swatch" });
        swatch.style.setProperty("--color", seen);
        swatch.ariaLabel = swatch.title = `${colorName(seen)}, ${seen}`;
        swatch.addEventListener("click", () => {
          this.recolor(color);
          if (!this.brushing) this.focus(this.chosen);
        });
        return swatch;
      }));
      return group;
    }));
  }

  focus(index) { find("#points").children[index]?.focus(); }

  // ---- Drawing

  draw() {
    const { photo } = this, points = find("#points");
    while (points.children.length > photo.hints.length) points.lastChild.remove();
    while (points.children.length < photo.hints.length) points.append(this.point());
    points.classList.toggle("many", photo.hints.length > MANY);
    photo.hints.forEach((hint, index) => {
      const point = points.children[index];
      point.style.left = `${100 * hint.x / photo.width}%`;
      point.style.top = `${100 * hint.y / photo.height}%`;
      point.style.setProperty("--color", hint.color);
      point.ariaLabel = `Hint ${index + 1} of ${photo.hints.length}: ${colorName(hint.color)}, at ${Math.round(hint.x)}, ${Math.round(hint.y)}`;
    });
    find("#undo").disabled = !photo.done.length;
    find("#redo").disabled = !photo.undone.length;
    find("#clear").disabled = find("#save-hints").disabled = !photo.hints.length;
    this.mark();
    this.aim();
  }

  mark() {
    [...find("#points").children].forEach((point, index) => { point.ariaPressed = String(index === this.chosen); });
  }

  aim() {
    const crosshair = find("#crosshair");
    crosshair.style.left = `${100 * this.at.x}%`;
    crosshair.style.top = `${100 * this.at.y}%`;
    if (!this.photo) return;
    const [x, y] = this.aimed();
    crosshair.ariaLabel = `Crosshair at ${x}, ${y}. Arrow keys move it, Enter sets a hint there, Shift and Enter one of the last color.`;
  }

  aimed() { return this.whole(this.at.x * this.photo.width, this.at.y * this.photo.height); }

  whole(x, y) {
    const { width, height } = this.photo;
    return [Math.min(width - 1, Math.max(0, Math.floor(x))), Math.min(height - 1, Math.max(0, Math.floor(y)))];
  }

  place(event) {
    const box = find("#frame").getBoundingClientRect();
    return this.whole(
      (event.clientX - box.left) / box.width * this.photo.width,
      (event.clientY - box.top) / box.height * this.photo.height,
    );
  }

  // A hint's button: dragged, clicked, moved and removed by keys.
  point() {
    const point = Object.assign(document.createElement("button"), { type: "button", className: "point" });
    const index = () => [...find("#points").children].indexOf(point);
    let moved = false;
    point.addEventListener("pointerdown", (event) => {
      if (event.button) return;
      event.stopPropagation();
      point.setPointerCapture(event.pointerId);
      moved = false;
      const start = event;
      const move = (to) => {
        if (!moved && Math.hypot(to.clientX - start.clientX, to.clientY - start.clientY) < CLICK) return;
        const [x, y] = this.place(to), color = this.at_lightness(this.photo.hints[index()].color, x, y);
        this.edit(index(), { x, y, color }, { joined: moved });
        moved = true;
      };
      point.addEventListener("pointermove", move);
      point.addEventListener("lostpointercapture", () => point.removeEventListener("pointermove", move), { once: true });
    });
    point.addEventListener("click", () => {
      if (moved) { moved = false; return; }
      if (this.chosen === index()) return; // a tap has just set it: its click comes after the hint is there
      this.chosen = index();
      this.pick();
    });
    point.addEventListener("keydown", (event) => {
      if (event.key === "Delete" || event.key === "Backspace") {
        event.preventDefault();
        this.remove(index());
        return;
      }
      const step = this.step(event);
      if (!step) return;
      event.preventDefault();
      const hint = this.photo.hints[index()], [x, y] = this.whole(hint.x + step[0], hint.y + step[1]);
      this.edit(index(), { x, y, color: this.at_lightness(hint.color, x, y) }, { joined: event.repeat });
    });
    return point;
  }

  // How far a key moves, in pixels of the photo; with Shift by one.
  step({ key, shiftKey }) {
    const direction = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[key];
    const size = shiftKey ? 1 : Math.max(1, Math.round(STEP * Math.min(this.photo.width, this.photo.height)));
    return direction?.map((one) => one * size);
  }

  listen() {
    find("#frame").addEventListener("pointerdown", (event) => this.press(event));
    find("#crosshair").addEventListener("keydown", (event) => {
      const step = this.step(event);
      if (event.key === "Enter" && event.shiftKey) {
        event.preventDefault();
        this.set(...this.aimed(), this.color, { quietly: true });
      }
      if (!step) return;
      event.preventDefault();
      const [x, y] = this.aimed(), [column, row] = this.whole(x + step[0], y + step[1]);
      this.at = { x: (column + 0.5) / this.photo.width, y: (row + 0.5) / this.photo.height };
      this.aim();
    });
    find("#crosshair").addEventListener("click", () => {
      if (this.brushing) return this.set(...this.aimed(), this.color ?? find("#any").value, { quietly: true });
      this.set(...this.aimed());
      return find("#swatches button, #any")?.focus();
    });
    find("#any").addEventListener("change", ({ target }) => this.recolor(target.value));
    find("#weight").addEventListener("input", ({ target }) => this.edit(this.chosen, { weight: Number(target.value) }));
    find("#remove-hint").addEventListener("click", () => this.remove(this.chosen));
    find("#done").addEventListener("click", () => this.finish());
    find("#picker").addEventListener("keydown", (event) => { if (event.key === "Escape") this.finish(); });
    find("#undo").addEventListener("click", () => this.undo());
    find("#redo").addEventListener("click", () => this.redo());
    find("#clear").addEventListener("click", () => { this.change([], { chosen: undefined }); this.choose(undefined); });
    find("#brush").addEventListener("click", () => this.brush(!this.brushing));
    find("#show-others").addEventListener("click", ({ currentTarget }) => this.page.busy(currentTarget, () => this.showOthers()));
    find("#reference").addEventListener("change", ({ target }) => {
      if (target.files.length) this.refer(target.files[0]);
      target.value = "";
    });
    find("#save-hints").addEventListener("click", () => this.save());
    find("#load-hints").addEventListener("change", ({ target }) => {
      if (target.files.length) this.load(target.files[0]);
      target.value = "";
    });
    document.addEventListener("keydown", (event) => {
      if (!(event.ctrlKey || event.metaKey) || event.altKey || !this.photo || event.target.matches("input[type=url]")) return;
      const key = event.key.toLowerCase();
      if (key === "z") event.shiftKey ? this.redo() : this.undo();
      else if (key === "y") this.redo();
      else return;
      event.preventDefault();
    });
  }

  finish() {
    const index = this.chosen;
    this.brush(false);
    this.choose(undefined);
    (find("#points").children[index] ?? find("#crosshair")).focus({ preventScroll: true });
  }

  brush(on) {
    this.brushing = on;
    find("#brush").ariaPressed = String(on);
    find("#frame").classList.toggle("brushing", on);
    this.choose(undefined);
    if (on) this.offer();
  }

  // The photo was pressed: a click sets a hint, the brush a stroke of them.
  press(event) {
    if (event.button || !this.allowed || !this.photo?.colored || event.target.closest("button")) return;
    const frame = find("#frame");
    if (!this.brushing) {
      frame.addEventListener("pointerup", (end) => {
        if (Math.hypot(end.clientX - event.clientX, end.clientY - event.clientY) < 2 * CLICK) this.set(...this.place(end));
      }, { once: true });
      return;
    }
    event.preventDefault();
    frame.setPointerCapture(event.pointerId);
    const apart = BRUSH * Math.min(this.photo.width, this.photo.height);
    let last;
    const stroke = (to) => {
      const [x, y] = this.place(to);
      if (last && Math.hypot(x - last[0], y - last[1]) < apart) return;
      this.set(x, y, this.color ?? find("#any").value, { quietly: true, joined: Boolean(last) });
      last = [x, y];
    };
    stroke(event);
    frame.addEventListener("pointermove", stroke);
    frame.addEventListener("lostpointercapture", () => frame.removeEventListener("pointermove", stroke), { once: true });
  }

  // ---- Files

  async save() {
    const { photo } = this;
    try {
      const link = document.createElement("a"), url = URL.createObjectURL(await this.page.server.saveHints(photo.id, photo.hints));
      link.href = url;
      link.download = `${photo.name.replace(/\.[^.]*$/, "")}.hints.json`;
      link.click();
      setTimeout(() => URL.revokeObjectURL(url), 10_000);
    } catch (error) {
      this.page.complain(photo, "The hints are not saved", error);
    }
  }

  async load(file) {
    const { photo } = this;
    try {
      const hints = await this.page.server.loadHints(photo.id, file);
      if (this.photo !== photo) return;
      this.change(hints, { chosen: undefined });
      this.choose(undefined);
      this.page.status(`${hints.length} hints were loaded.`);
    } catch (error) {
      this.page.complain(photo, "The hints are not loaded", error);
    }
  }
}
