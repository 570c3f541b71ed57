// Films: short ones are uploaded, colored on the server, and played, gray on the left and colored on the right.

import * as server from "./server.js";

const LOOK = 500; // milliseconds between two looks at how far a film is
const find = (name) => document.querySelector(name);
const megabytes = (bytes) => `${bytes / 1e6} MB`;

let limits, settings, status;

export function isFilm(file) {
  return file.type.startsWith("video/") || Boolean(limits?.extensions.some((one) => file.name.toLowerCase().endsWith(one)));
}

export function begin(about, given) {
  limits = about.film;
  ({ settings, status } = given);
  if (!limits.missing) {
    find("#files").accept += `,video/*,${limits.extensions.join(",")}`;
    find("#film-limits").textContent = `Films: MP4, MOV, MKV, WebM, AVI and others; up to ${megabytes(limits.max_bytes)}, `
      + `${limits.max_seconds} seconds and 1920 × 1080 pixels each. The command colorize takes any length.`;
  }
}

export const bring = (file) => new Film(file.name || "film.mp4").upload(file);

export async function restore() {
  for (const facts of await server.films()) new Film(facts.name).take(facts);
}

export function leave() { for (const entry of [...find("#films").children]) entry.remove(); }

class Film {
  constructor(name) {
    this.entry = find("#film").content.firstElementChild.cloneNode(true);
    this.part(".name").textContent = name;
    this.part(".remove").ariaLabel = `Remove ${name}`;
    this.part(".remove").addEventListener("click", () => this.remove());
    this.part(".again").addEventListener("click", () => this.color());
    this.part(".save").addEventListener("click", () => server.download({ key: this.key, name: this.download }));
    const divider = this.part(".divider");
    divider.addEventListener("input", () => {
      this.part(".screen").style.setProperty("--divider", `${divider.value}%`);
      divider.ariaValueText = `${divider.value} % gray`;
    });
    this.drawGray();
    find("#films").append(this.entry);
    find("#films").hidden = false;
  }

  // Each frame that the player presents is drawn on the gray side, too.
  drawGray() {
    const video = this.part("video"), before = this.part(".before"), paint = before.getContext("2d");
    const draw = () => {
      if (before.width !== video.videoWidth) Object.assign(before, { width: video.videoWidth, height: video.videoHeight });
      paint.drawImage(video, 0, 0);
      video.requestVideoFrameCallback(draw);
    };
    video.requestVideoFrameCallback(draw);
  }

  part(name) { return this.entry.querySelector(name); }
  say(text) { this.part(".facts").textContent = text; }

  async upload(file) {
    if (limits.missing) return this.fail(limits.missing);
    if (file.size > limits.max_bytes) {
      return this.fail(`too large; the limit is ${megabytes(limits.max_bytes)} per film: cut it, or use \`colorize\``);
    }
    this.say("reading");
    try {
      this.take(await server.uploadFilm(file));
      if (!this.inColor) await this.color();
    } catch (error) {
      this.fail(error.message);
    }
  }

  take(facts) {
    Object.assign(this, { id: facts.id, key: facts.key, download: facts.download, inColor: facts.in_color, total: facts.total });
    this.part(".name").textContent = facts.name;
    const size = `${facts.width} × ${facts.height} pixels${facts.seconds ? ` · ${facts.seconds.toFixed(1)} s` : ""}`;
    const bar = this.part("progress"), doing = facts.state === "waiting" || facts.state === "coloring";
    bar.hidden = !doing;
    bar.max = Math.max(facts.total, facts.frames, 1);
    if (facts.state === "waiting") bar.removeAttribute("value"); else bar.value = facts.frames;
    this.part(".again").hidden = doing;
    this.part(".again").textContent = facts.state === "open" && facts.in_color ? "Color it all the same" : "Color again";
    this.part(".save").hidden = this.part("figure").hidden = facts.state !== "done";
    this.part(".error").textContent = facts.state === "failed" ? `Not colored: ${facts.error}` : "";
    this.say({
      open: `${size}${facts.in_color ? " · it is in color already" : ""}`,
      waiting: `${size} · waiting for another film`,
      coloring: `${size} · coloring: ${facts.frames} of about ${facts.total} frames`,
      done: size,
      failed: size,
    }[facts.state]);
    if (facts.state === "done") {
      const video = this.part("video"), source = `/downloads/${facts.key}`;
      if (video.getAttribute("src") !== source) video.src = source;
    }
    if (doing) setTimeout(() => this.look(), LOOK);
  }

  async look() {
    if (!this.entry.isConnected) return;
    try {
      const facts = await server.film(this.id);
      this.take(facts);
      if (facts.state === "done") status(`${facts.name} is colored.`);
    } catch (error) {
      this.fail(error.message);
    }
  }

  async color() {
    try {
      this.take(await server.colorFilm(this.id, settings()));
    } catch (error) {
      this.fail(error.message);
    }
  }

  fail(sentence) {
    this.say("");
    this.part("progress").hidden = true;
    this.part(".again").hidden = !this.id;
    this.part(".error").textContent = `Not colored: ${sentence}`;
  }

  remove() {
    const focused = this.entry.contains(document.activeElement);
    if (this.id) server.removeFilm(this.id).catch(() => {});
    this.entry.remove();
    find("#films").hidden = !find("#films").children.length;
    if (focused) find("#files").focus();
  }
}
