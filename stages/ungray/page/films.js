// Films: short ones are uploaded, colored on the server, and played, gray on the left and colored on the right.

import * as server from "./server.js";

const LOOK = 500; // milliseconds between two looks at how far a film is
const find = (name) => document.querySelector(name);
const megabytes = (bytes) => `${bytes / 1e6} MB`;

const FRAMES = "frames of films"; // in the session: the film and time of each photo that is a frame

let limits, page;
const films = [];

export function isFilm(file) {
  return file.type.startsWith("video/") || Boolean(limits?.extensions.some((one) => file.name.toLowerCase().endsWith(one)));
}

const frames = () => JSON.parse(sessionStorage.getItem(FRAMES) ?? "{}");

// ``given``: settings() and takesHints() of the model that is chosen, bringFrame(file, brought), photos(), status(text).
export function begin(about, given) {
  limits = about.film;
  page = given;
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

// Hints or the model have changed.
export function refresh() { for (const film of films) film.offer(); }

class Film {
  constructor(name) {
    this.entry = find("#film").content.firstElementChild.cloneNode(true);
    this.part(".name").textContent = name;
    this.part(".remove").ariaLabel = `Remove ${name}`;
    this.part(".remove").addEventListener("click", () => this.remove());
    this.part(".again").addEventListener("click", () => this.color());
    this.part(".hint").addEventListener("click", () => this.bringFrame());
    this.part(".save").addEventListener("click", () => server.download({ key: this.key, name: this.download }));
    const divider = this.part(".divider");
    divider.addEventListener("input", () => {
      this.part(".screen").style.setProperty("--divider", `${divider.value}%`);
      divider.ariaValueText = `${divider.value} % gray`;
    });
    this.drawGray();
    films.push(this);
    find("#films").append(this.entry);
    find("#films").hidden = false;
  }

  // Each frame that the player presents is drawn on the gray side, too.
  drawGray() {
    const video = this.part("video"), gray = this.part("canvas"), paint = gray.getContext("2d");
    const draw = (_, { mediaTime }) => {
      this.time = mediaTime;
      if (gray.width !== video.videoWidth) Object.assign(gray, { width: video.videoWidth, height: video.videoHeight });
      paint.drawImage(video, 0, 0);
      video.requestVideoFrameCallback(draw);
    };
    video.requestVideoFrameCallback?.(draw); // without it, the filter of the player's bottom is everywhere
  }

  // The frame that is seen becomes a photo, on which hints are set. They hold from that frame to the next cut.
  async bringFrame() {
    const video = this.part("video"), canvas = document.createElement("canvas");
    video.pause();
    Object.assign(canvas, { width: video.videoWidth, height: video.videoHeight });
    canvas.getContext("2d").drawImage(video, 0, 0);
    const content = await new Promise((done) => canvas.toBlob(done, "image/png"));
    const seen = this.time ?? video.currentTime;
    const time = Math.max(0, seen - 0.001); // it was rounded; the frame must not count as past
    const name = `${this.name.replace(/\.[^.]*$/, "")} at ${seen.toFixed(2)} s.png`;
    page.bringFrame(new File([content], name, { type: "image/png" }), (id) => {
      sessionStorage.setItem(FRAMES, JSON.stringify({ ...frames(), [id]: { film: this.id, time } }));
    });
    page.status("Set hints on the frame, as on any photo; then color the film again.");
  }

  // The hints of all its frames, at the film's size.
  hints() {
    const own = frames();
    if (!this.id || !page.takesHints()) return [];
    return page.photos().filter(({ id }) => own[id]?.film === this.id).flatMap((photo) => photo.hints.map((hint) => ({
      ...hint, x: hint.x * this.width / photo.width, y: hint.y * this.height / photo.height, time: own[photo.id].time,
    })));
  }

  offer() {
    const number = this.hints().length, again = this.part(".again");
    this.part(".hint").hidden = this.state !== "done" || !page.takesHints();
    again.textContent = this.state === "open" && this.inColor ? "Color it all the same"
      : number ? `Color again, with ${number} ${number === 1 ? "hint" : "hints"}` : "Color again";
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
    const { id, key, name, state, download, width, height } = facts;
    Object.assign(this, { id, key, name, state, download, width, height, inColor: facts.in_color });
    this.part(".name").textContent = facts.name;
    const size = `${facts.width} × ${facts.height} pixels${facts.seconds ? ` · ${facts.seconds.toFixed(1)} s` : ""}`;
    const bar = this.part("progress"), doing = facts.state === "waiting" || facts.state === "coloring";
    bar.hidden = !doing;
    bar.max = Math.max(facts.total, facts.frames, 1);
    if (facts.state === "waiting") bar.removeAttribute("value"); else bar.value = facts.frames;
    this.part(".again").hidden = doing;
    this.offer();
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
      if (facts.state === "done") page.status(`${facts.name} is colored.`);
    } catch (error) {
      this.fail(error.message);
    }
  }

  async color() {
    try {
      this.take(await server.colorFilm(this.id, { ...page.settings(), hints: this.hints() }));
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
    films.splice(films.indexOf(this), 1);
    find("#films").hidden = !find("#films").children.length;
    if (focused) find("#files").focus();
  }
}
