// The grid: only photos near the window have a tile, so the number of photos does not matter.

const SMALLEST = 200, SMALLEST_NARROW = 150, FOOT = 40, HEADING = 44;

export class Grid {
  /** `list` is { ids, groups: [{ name, size }] }; `fill(tile, id)` fills a tile with the data of its photo. */
  constructor(element, { fill, needed, title, turned }) {
    Object.assign(this, { element, fill, needed, title, turned });
    this.template = document.querySelector("#tile").content.firstElementChild;
    this.tiles = new Map();
    this.sections = new Map();
    this.active = 0;
    this.show({ ids: [], groups: [] });
    addEventListener("scroll", () => this.later(), { passive: true });
    new ResizeObserver(() => { this.measure(); this.draw(); }).observe(element);
  }

  show(list) {
    Object.assign(this, list);
    this.tiles.forEach((tile) => tile.remove());
    this.tiles.clear();
    this.sections.forEach((section) => section.remove());
    this.sections.clear();
    this.active = 0;
    this.measure();
    this.draw();
  }

  /** Compute the layout: number of columns, side of a tile, and top of each group. */
  measure() {
    const width = this.element.clientWidth, gap = width < 600 ? 10 : 18;
    const smallest = width < 600 ? SMALLEST_NARROW : SMALLEST;
    this.columns = Math.max(1, Math.floor((width + gap) / (smallest + gap)));
    this.side = (width - gap * (this.columns - 1)) / this.columns;
    this.step = this.side + gap;
    this.rowHeight = this.side + FOOT + gap;
    let top = 0, start = 0;
    for (const group of this.groups) {
      group.top = top;
      group.start = start;
      group.rows = Math.ceil(group.size / this.columns);
      top += HEADING + group.rows * this.rowHeight;
      start += group.size;
    }
    this.element.style.height = `${top}px`;
  }

  group(index) {
    let low = 0, high = this.groups.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (this.groups[middle].start <= index) low = middle; else high = middle - 1;
    }
    return this.groups[low];
  }

  position(index) {
    const group = this.group(index), inGroup = index - group.start;
    const row = Math.floor(inGroup / this.columns);
    return { x: (inGroup % this.columns) * this.step, y: group.top + HEADING + row * this.rowHeight };
  }

  /** The indexes of the photos whose tiles lie between two heights. */
  between(from, to) {
    const found = [];
    for (const group of this.groups) {
      const top = group.top + HEADING;
      if (top + group.rows * this.rowHeight < from || group.top > to) continue;
      const first = Math.max(0, Math.floor((from - top) / this.rowHeight)) * this.columns;
      const last = Math.min(group.size, (Math.floor((to - top) / this.rowHeight) + 1) * this.columns);
      for (let i = first; i < last; i += 1) found.push(group.start + i);
    }
    return found;
  }

  later() {
    if (this.waiting) return;
    this.waiting = requestAnimationFrame(() => { this.waiting = 0; this.draw(); });
  }

  draw() {
    if (!this.step) return;
    const top = -this.element.getBoundingClientRect().top, height = innerHeight;
    const near = new Set(this.between(top - height / 2, top + height * 1.5));
    // The tile with the focus is kept, or the focus would be lost.
    if (this.ids.length) near.add(this.active);
    for (const [index, tile] of this.tiles) {
      if (!near.has(index)) { tile.remove(); this.tiles.delete(index); }
    }
    for (const index of [...near].sort((a, b) => a - b)) this.lay(index);
    for (const [group, section] of this.sections) {
      if (section.lastElementChild.childElementCount) section.firstElementChild.style.transform = `translateY(${group.top}px)`;
      else { section.remove(); this.sections.delete(group); }
    }
    this.needed([...near].map((index) => this.ids[index]));
  }

  lay(index) {
    let tile = this.tiles.get(index);
    if (!tile) {
      const group = this.group(index);
      tile = this.template.cloneNode(true);
      tile.dataset.index = index;
      tile.setAttribute("aria-posinset", index - group.start + 1);
      tile.setAttribute("aria-setsize", group.size);
      this.tiles.set(index, tile);
      this.fill(tile, this.ids[index]);
      this.mark(index);
      const feed = this.section(group).lastElementChild;
      // In the order of the list, for the Tab key and for screen readers.
      feed.insertBefore(tile, [...feed.children].find((other) => Number(other.dataset.index) > index) ?? null);
    }
    const { x, y } = this.position(index);
    tile.style.transform = `translate(${x}px, ${y}px)`;
    tile.style.width = `${this.side}px`;
  }

  /** A group's heading and its photos; part of the page only while one of its photos is. */
  section(group) {
    let section = this.sections.get(group);
    if (!section) {
      section = document.createElement("section");
      const heading = document.createElement("h2"), size = document.createElement("small"), feed = document.createElement("div");
      heading.id = `group-${group.start}`;
      size.textContent = group.size;
      heading.append(this.title(group.name), " ", size);
      feed.setAttribute("role", "feed");  // a list whose articles come and go as one scrolls
      feed.setAttribute("aria-labelledby", heading.id);
      section.append(heading, feed);
      const after = [...this.sections.keys()].filter((other) => other.start > group.start).sort((a, b) => a.start - b.start)[0];
      this.sections.set(group, section);
      this.element.insertBefore(section, this.sections.get(after) ?? null);
    }
    return section;
  }

  /** Only the active tile's buttons take part in the Tab order; arrows move between tiles. */
  mark(index) {
    const tile = this.tiles.get(index), active = index === this.active;
    tile?.classList.toggle("active", active);
    tile?.querySelectorAll("button").forEach((button) => { button.tabIndex = active ? 0 : -1; });
  }

  refill(id) {
    for (const [index, tile] of this.tiles) if (this.ids[index] === id) this.fill(tile, id);
  }

  activate(index, { focus = true } = {}) {
    if (!this.ids.length) return;
    const before = this.active;
    this.active = Math.min(Math.max(index, 0), this.ids.length - 1);
    this.lay(this.active);
    this.mark(before);
    this.mark(this.active);
    this.reveal(this.active);
    if (focus) this.focus();
    this.turned();
  }

  /** Focus the active photo without scrolling. */
  focus() { this.tiles.get(this.active)?.querySelector(".photo").focus({ preventScroll: true }); }

  reveal(index) {
    const { y } = this.position(index), bounds = this.element.getBoundingClientRect();
    const header = document.querySelector("header").getBoundingClientRect();
    const above = Math.max(0, header.bottom), below = document.querySelector("footer").getBoundingClientRect().top;
    const top = bounds.top + y, bottom = top + this.side + FOOT;
    const first = this.group(index).start + this.columns > index ? HEADING : 8;
    if (top - first < above) scrollBy({ top: top - first - above });
    else if (bottom + 8 > below) scrollBy({ top: bottom + 8 - below });
  }

  /** The index of the neighbor in the direction of an arrow key; up and down cross group borders. */
  neighbor(key) {
    const index = this.active, group = this.group(index), column = (index - group.start) % this.columns;
    if (key === "ArrowLeft") return index - 1;
    if (key === "ArrowRight") return index + 1;
    if (key === "Home") return 0;
    if (key === "End") return this.ids.length - 1;
    if (key === "ArrowDown") {
      const row = Math.floor((index - group.start) / this.columns);
      if (row < group.rows - 1) return Math.min(index + this.columns, group.start + group.size - 1);
      const next = this.groups[this.groups.indexOf(group) + 1];
      return next ? next.start + Math.min(column, next.size - 1) : index;
    }
    if (index - group.start >= this.columns) return index - this.columns;
    const previous = this.groups[this.groups.indexOf(group) - 1];
    if (!previous) return index;
    return previous.start + Math.min((previous.rows - 1) * this.columns + column, previous.size - 1);
  }

  /** The ids of the photos that are completely in the window and have loaded. */
  inView() {
    const above = document.querySelector("header").getBoundingClientRect().bottom;
    const below = document.querySelector("footer").getBoundingClientRect().top;
    return [...this.tiles].filter(([, tile]) => {
      const photo = tile.firstElementChild, { top, bottom } = photo.getBoundingClientRect();
      const image = photo.firstElementChild;
      return top >= above - 1 && bottom <= below + 1 && image.complete && image.src;
    }).map(([index]) => this.ids[index]);
  }
}
