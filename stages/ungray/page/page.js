// The page: photos that were brought, the one that is shown, its controls, its downloads. Hints are in hints.js.

import * as camera from "./camera.js";
import * as films from "./films.js";
import { Hints } from "./hints.js";
import * as server from "./server.js";

const UPLOADS = 2;
const find = (name) => document.querySelector(name);
let quiet;
const status = (text) => {
  find("#status").textContent = text;
  clearTimeout(quiet);
  quiet = setTimeout(() => { find("#status").textContent = ""; }, 8000);
};
const number = (value) => value.toLocaleString("en");

let about;
let shown; // the photo that is shown
const photos = []; // in the order of the list
const waiting = []; // photos that are not yet on the server

class Photo {
  constructor(name, source) {
    this.name = name;
    this.source = source; // returns what the server says of it
    this.hints = [];
    this.undone = [];
    this.done = [];
    this.entry = find("#entry").content.firstElementChild.cloneNode(true);
    this.entry.querySelector(".choose").addEventListener("click", () => show(this));
    this.entry.querySelector(".remove").addEventListener("click", () => remove(this));
    this.entry.querySelector(".remove").ariaLabel = `Remove ${name}`;
    this.entry.querySelector(".name").textContent = name;
    this.say("waiting");
    photos.push(this);
    find("#list").append(this.entry);
    layout();
  }

  say(text) { this.entry.querySelector(".state").textContent = text; }

  fail(error) {
    this.say("");
    this.complain(`Not colored: ${error.message ?? error}`);
    this.entry.querySelector(".choose").disabled = !this.id;
  }

  recover() { this.complain(""); }

  complain(sentence) {
    this.error = sentence;
    this.entry.querySelector(".error").textContent = sentence;
    if (shown === this) complain(sentence);
  }

  take(facts) {
    Object.assign(this, { id: facts.id, width: facts.width, height: facts.height, kind: facts.kind });
    this.name = facts.name;
    this.entry.querySelector(".name").textContent = facts.name;
    this.hints = facts.settings.waiting_hints ?? facts.settings.hints ?? [];
    this.entry.querySelector(".choose").disabled = false;
    layout();
  }
}

const controls = () => ({
  model: find("#model").value,
  saturation: Number(find("#saturation").value),
  vivid: find("#vivid").checked,
});

// What of the settings is the photo's own, and what all photos share. A model that takes no hints gets none; they wait
// for one that does, also beyond a reload.
const settings = (photo) => ({
  ...controls(),
  ...(chosenModel().takes_hints ? { hints: photo.hints } : { hints: [], waiting_hints: photo.hints }),
});

// For a reload: the server knows what each photo was colored with last, but not what was chosen last.
const CHOSEN = "chosen";
const keep = () => sessionStorage.setItem(CHOSEN, JSON.stringify({ ...controls(), shown: shown?.id }));

// ---- Bringing photos

async function bring(files) {
  const list = [...files]; // the browser forgets them after the event
  await begun;
  if (!about) return; // that was said
  const notes = list.filter((file) => /\.json$/i.test(file.name));
  if (notes.length && shown) hints.load(notes[0]);
  for (const film of list.filter(films.isFilm)) films.bring(film);
  const brought = list.filter((file) => !notes.includes(file) && !films.isFilm(file)).map((file) => {
    const photo = new Photo(file.name || "pasted.png", () => server.upload(file));
    const limit = about.max_bytes / 1e6;
    if (file.size > about.max_bytes) photo.fail(`too large; the limit is ${limit} MB per photo: save it smaller`);
    else waiting.push(photo);
    return photo;
  });
  if (!brought.length) return;
  first(brought);
  work();
}

// The first of what was just brought is shown as soon as it can be.
let next;
function first(brought) { next = brought.find((photo) => !photo.error); }

let working = 0;
async function work() {
  while (working < UPLOADS && waiting.length) {
    working += 1;
    color(waiting.shift()).finally(() => { working -= 1; work(); });
  }
}

async function color(photo) {
  if (photo.gone) return;
  try {
    photo.say("reading");
    photo.take(await photo.source());
    if (photo.gone) { server.remove(photo.id); return; }
    photo.say("coloring");
    if (photo === next || !shown) await show(photo);
    else await preview(photo);
    photo.say("");
    status(`${photo.name} is colored.`);
  } catch (error) {
    photo.fail(error);
    if (error.status === 410) ended();
  }
}

async function ended() {
  for (const photo of [...photos]) if (photo.id) await remove(photo, { quietly: true });
  complain("This session has ended and its photos are deleted; drop them again.");
}

async function remove(photo, { quietly = false } = {}) {
  const at = photos.indexOf(photo);
  const focused = photo.entry.contains(document.activeElement);
  photo.gone = true;
  photos.splice(at, 1);
  photo.entry.remove();
  for (const url of [photo.gray, photo.colored]) if (url) URL.revokeObjectURL(url);
  if (photo.id && !quietly) server.remove(photo.id).catch(() => {});
  if (shown === photo) {
    shown = undefined;
    const other = photos.slice(at).concat(photos.slice(0, at).reverse()).find((one) => one.id);
    if (other) await show(other);
  }
  layout();
  films.refresh();
  if (focused) (photos[Math.min(at, photos.length - 1)]?.entry.querySelector(".remove") ?? find("#files")).focus();
}

// ---- The photo that is shown

async function show(photo) {
  const before = shown;
  shown = photo;
  if (before && before !== photo) before.entry.querySelector(".choose").ariaCurrent = null;
  photo.entry.querySelector(".choose").ariaCurrent = "true";
  find("#facts").textContent = `${photo.name} · ${number(photo.width)} × ${number(photo.height)} pixels · ${photo.kind}`;
  find("#photo").style.setProperty("--ratio", photo.width / photo.height);
  find("#colored").alt = `${photo.name}, colored`;
  if (before !== photo) for (const name of ["#gray", "#colored"]) find(name).removeAttribute("src");
  complain(photo.error);
  hints.show(photo);
  keep();
  layout();
  photo.gray ??= URL.createObjectURL(await server.gray(photo.id));
  if (shown !== photo) return;
  find("#gray").src = photo.gray;
  if (photo.colored) find("#colored").src = photo.colored;
  await preview(photo);
}

// One request at a time per photo: what changes meanwhile is asked for when its answer has come.
async function preview(photo, { started = window.event?.timeStamp ?? performance.now() } = {}) {
  const wanted = JSON.stringify(settings(photo));
  if (photo.answers === wanted && photo.colored) return;
  if (photo.asking) { photo.again = true; return; }
  photo.asking = true;
  try {
    const url = URL.createObjectURL(await server.preview(photo.id, JSON.parse(wanted)));
    const before = photo.colored;
    photo.colored = url;
    photo.answers = wanted;
    if (photo.error) photo.recover();
    photo.entry.querySelector("img").src = url;
    if (shown === photo) {
      await put(url);
      drawn().then((end) => performance.measure("answer", { start: started, end }));
    }
    if (before) URL.revokeObjectURL(before);
  } finally {
    photo.asking = false;
  }
  if (photo.again) {
    photo.again = false;
    await preview(photo);
  }
}

// The picture is decoded before it takes the place of the one before, so that nothing flickers.
async function put(url) {
  const decoded = new Image();
  decoded.src = url;
  await decoded.decode().catch(() => {});
  find("#colored").src = url;
}

// The time when the browser has drawn what was changed: a message comes after the frame that was prepared.
const drawn = () => new Promise((resolve) => {
  requestAnimationFrame(() => {
    const { port1, port2 } = new MessageChannel();
    port1.onmessage = () => resolve(performance.now());
    port2.postMessage("");
  });
});

// Color the photo that is shown again; the promise is fulfilled when it is.
async function change() {
  keep();
  films.refresh();
  if (!shown) return;
  const photo = shown;
  try {
    await preview(photo);
  } catch (error) {
    photo.fail(error);
    if (error.status === 410) ended();
  }
}

function complain(sentence) {
  find("#problem").textContent = sentence ?? "";
  find("#problem").hidden = !sentence;
}

function layout() {
  document.body.classList.toggle("with-photo", Boolean(shown));
  find("#photo").hidden = find("#controls").hidden = !shown;
  find("#list").hidden = !photos.length;
  find("#save-all").hidden = photos.filter((photo) => photo.id).length < 2;
  find("#add-title").textContent = photos.length ? "Add photos" : "Drop photos here";
}

// ---- The divider between gray and colored

const divider = find("#divider");

function divide() {
  find("#frame").style.setProperty("--divider", `${divider.value}%`);
  divider.ariaValueText = `${divider.value} % gray`;
}

divider.addEventListener("input", divide);
find("#handle").addEventListener("pointerdown", (event) => {
  event.preventDefault();
  event.stopPropagation();
  const handle = event.currentTarget, box = find("#frame").getBoundingClientRect();
  handle.setPointerCapture(event.pointerId);
  const move = ({ clientX }) => {
    divider.value = Math.round(100 * (clientX - box.left) / box.width);
    divide();
  };
  handle.addEventListener("pointermove", move);
  handle.addEventListener("lostpointercapture", () => handle.removeEventListener("pointermove", move), { once: true });
});

// ---- Controls

find("#saturation").addEventListener("input", (event) => {
  find("#saturation-value").textContent = `${Math.round(100 * event.target.value)} %`;
  change();
});
find("#vivid").addEventListener("change", change);
find("#model").addEventListener("change", () => { describe(); change(); });

const chosenModel = () => about.models.find(({ name }) => name === find("#model").value);

function describe() {
  const model = chosenModel();
  find("#quality").textContent = model.quality;
  find("#vivid").disabled = !model.has_vivid;
  if (!model.has_vivid) {
    find("#vivid").checked = false;
    find("#vivid-note").textContent = "changes nothing with this model: livelier colors were not found right for it";
  }
  hints.allow(model.takes_hints);
  films.refresh();
}

find("#show-card").addEventListener("click", async () => {
  // The server writes it from Markdown in which HTML is text.
  find("#card div").innerHTML = await server.card(find("#model").selectedIndex);
  for (const table of document.querySelectorAll("#card table")) table.tabIndex = 0; // scrolled by keys
  find("#card").showModal();
});

// ---- Saving

async function busy(button, doing) {
  button.disabled = true;
  try {
    await doing();
  } finally {
    button.disabled = false;
  }
}

const atFullSize = (photo) => server.whole(photo.id, { ...settings(photo), format: find("#format").value });

find("#save").addEventListener("click", (event) => busy(event.currentTarget, async () => {
  const photo = shown;
  status(`Coloring ${photo.name} at full size…`);
  try {
    const made = await atFullSize(photo);
    server.download(made);
    photo.recover();
    status(`${made.name} is being downloaded.`);
  } catch (error) {
    photo.fail(error);
    status("");
    if (error.status === 410) ended();
  }
}));

find("#save-all").addEventListener("click", (event) => busy(event.currentTarget, async () => {
  const all = photos.filter((photo) => photo.id), keys = [];
  let done = 0;
  const queue = [...all];
  const lane = async () => {
    for (let photo = queue.shift(); photo; photo = queue.shift()) {
      try {
        keys[all.indexOf(photo)] = (await atFullSize(photo)).key;
        if (photo.error) photo.recover();
      } catch (error) {
        photo.fail(error);
        if (error.status === 410) return ended();
      }
      done += 1;
      status(`Coloring at full size: ${done} of ${all.length}`);
    }
  };
  await Promise.all(Array.from({ length: UPLOADS }, lane));
  const made = keys.filter(Boolean);
  if (!made.length) return status("No photo could be colored.");
  try {
    server.download(await server.archive(made));
    status(`${made.length} of ${all.length} photos are in the ZIP file.`);
  } catch (error) {
    status(`No ZIP file: ${error.message}`);
  }
}));

// ---- Where photos come from

for (const name of ["#files", "#camera"]) {
  find(name).addEventListener("change", ({ target }) => {
    bring(target.files);
    target.value = "";
  });
}
document.addEventListener("paste", (event) => {
  const files = event.clipboardData?.files ?? [];
  if (!files.length) return;
  event.preventDefault();
  bring(files);
});
// What is dropped on the photo lends it its colors; what is dropped elsewhere is one more photo.
const lends = ({ target }) => Boolean(shown?.colored) && hints.allowed && Boolean(target.closest?.("#frame"));
const endDrag = () => document.body.classList.remove("dragging", "lending");

document.addEventListener("dragover", (event) => {
  event.preventDefault();
  document.body.classList.add("dragging");
  document.body.classList.toggle("lending", lends(event));
});
document.addEventListener("dragleave", (event) => { if (!event.relatedTarget) endDrag(); });
document.addEventListener("drop", (event) => {
  event.preventDefault();
  endDrag();
  const files = [...event.dataTransfer?.files ?? []];
  if (files.length === 1 && lends(event) && !/\.json$/i.test(files[0].name) && !films.isFilm(files[0])) hints.refer(files[0]);
  else bring(files);
});
find("#address").addEventListener("submit", async (event) => {
  event.preventDefault();
  const url = find("#url").value.trim();
  if (!url) return;
  await begun;
  const photo = new Photo(url, () => server.open(url));
  waiting.push(photo);
  first([photo]);
  find("#url").value = "";
  work();
});

// A frame of a film; ``brought`` gets its id.
function bringFrame(file, brought) {
  const photo = new Photo(file.name, async () => {
    const facts = await server.upload(file);
    brought(facts.id);
    return facts;
  });
  waiting.push(photo);
  first([photo]);
  work();
}

async function tryExample(name) {
  const photo = new Photo(name, async () => server.upload(new File([await server.example(name)], name)));
  waiting.push(photo);
  first([photo]);
  work();
}

// ---- Beginning and end

addEventListener("pagehide", server.leave);
addEventListener("pageshow", (event) => { if (event.persisted) location.reload(); });

// What went wrong with a photo's hints is said at that photo, which may not be the one that is shown any more.
function complainOf(photo, what, error) {
  if (error.status === 410) ended();
  else photo.complain(`${what}: ${error.message}`);
}

const hints = new Hints({ change, divider, divide, server, settings, busy, complain: complainOf, status });

// Asked at once: a session that was left by a reload ends if nobody does.
const keeping = server.session.key ? server.photos() : undefined;
keeping?.catch(() => {});

async function restore() {
  if (!keeping) return;
  let kept;
  try {
    kept = await keeping;
  } catch (error) {
    if (error.status === 410) return; // ended meanwhile: begin anew
    throw error;
  }
  const chosen = JSON.parse(sessionStorage.getItem(CHOSEN) ?? "null");
  if (chosen && kept.length) {
    find("#model").value = chosen.model;
    find("#saturation").value = chosen.saturation;
    find("#saturation-value").textContent = `${Math.round(100 * chosen.saturation)} %`;
    find("#vivid").checked = chosen.vivid;
  }
  for (const facts of kept) {
    const photo = new Photo(facts.name, async () => facts);
    waiting.push(photo);
    if (facts.id === chosen?.shown) next = photo;
  }
  work();
}

async function begin() {
  about = await server.about();
  for (const model of about.models) find("#model").append(new Option(model.title, model.name));
  find("#model-label").hidden = about.models.length < 2;
  for (const format of about.formats) find("#format").append(new Option(format));
  find("#limits").textContent = `JPEG, PNG, TIFF, WebP, HEIC, AVIF, JPEG XL, JPEG 2000, PSD; up to ${about.max_bytes / 1e6} MB `
    + `and ${about.max_pixels / 1e6} megapixels each`;
  find("#privacy").textContent = about.is_local
    ? "Photos stay on this machine, and are deleted when you close the page."
    : "Photos go to the machine that serves this page and no farther; they are deleted when you close the page.";
  for (const name of about.examples) {
    const button = document.createElement("button");
    const image = Object.assign(new Image(), { src: `/examples/${name}`, alt: name.replace(/\..*/, ""), loading: "lazy" });
    button.type = "button";
    button.append(image);
    button.addEventListener("click", () => tryExample(name));
    find("#examples .row").append(button);
  }
  find("#examples").hidden = !about.examples.length;
  camera.begin((file) => bring([file]));
  films.begin(about, {
    status, bringFrame, settings: () => settings({}), photos: () => photos, takesHints: () => chosenModel().takes_hints,
  });
  divide();
  if (keeping) films.restore().catch(() => {});
  await restore();
  describe();
  layout();
}

const begun = begin().catch((error) => status(`The page could not begin: ${error.message}`));
