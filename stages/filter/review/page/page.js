// The review page: lists, decisions and keys. All text is inserted as text, never as HTML.

import { complain, get, post } from "./api.js";
import { Grid } from "./grid.js";
import { Large } from "./large.js";
import { choices, pressed, titles, verdict } from "./titles.js";

const $ = (selector) => document.querySelector(selector);
const AT_ONCE = 100, REMEMBERED = 4000, LOOK = 800;
const photos = new Map(), asked = new Map(), reported = new Set();
const undone = JSON.parse(sessionStorage.getItem("undo") ?? "[]");
let selection = {}, list = { ids: [] }, version = "", opened = 0, seenBefore = new Set(), reopening = null;

// ---- the list

function filters() {
  const show = document.querySelector("[name=show]:checked").value;
  const fields = { show, by: $("#by").value };
  for (const name of ["query", "check"]) if ($(`#${name}`).value !== "*") fields[name] = $(`#${name}`).value.slice(1);
  return fields;
}

/** List the photos that the filters select. Keys pressed meanwhile apply to the new list. */
function reopen() {
  const done = show().catch((error) => complain(error.message)).then(() => { if (reopening === done) reopening = null; });
  reopening = done;
}

async function show({ stay = false } = {}) {
  selection = filters();
  history.replaceState(null, "", `?${new URLSearchParams(selection)}`);
  const turn = opened += 1;
  const [found] = await Promise.all([get("list", selection), count()]);
  if (turn !== opened) return;
  const here = list.ids[grid.active];  // only now: the user may have moved since the request
  list = found;
  version = found.version;
  const focused = $("#grid").contains(document.activeElement);
  grid.show(list);
  $("#empty").hidden = list.ids.length > 0;
  if (stay) grid.activate(Math.max(0, list.ids.indexOf(here)), { focus: false }); else scrollTo({ top: 0 });
  if (focused) grid.focus();
}

async function count() {
  const requested = { ...selection };
  const found = await get("counts", requested);
  if (JSON.stringify(requested) !== JSON.stringify(selection)) return;
  const { photos: all, viewed: seen, decided, waiting } = found.progress;
  for (const radio of document.querySelectorAll("[name=show]")) {
    radio.nextElementSibling.querySelector("small").textContent = found.show[radio.value];
  }
  choices($("#check"), found.check, titles.check);
  choices($("#query"), found.query, titles.query);
  $("#progress").max = all;
  $("#progress").value = seen;
  $("#counted").textContent = `${seen} of ${all} viewed · ${decided} decided`;
  $("#waiting").hidden = !waiting;
  $("#waiting b").textContent = `${waiting} not applied yet:`;
  if (version && found.version !== version) {
    version = found.version;
    photos.clear();
    say("The verdicts have been updated.");
    await show({ stay: true });
  }
}

async function need(ids) {
  const missing = ids.filter((id) => id && !photos.has(id) && !asked.has(id));
  for (let start = 0; start < missing.length; start += AT_ONCE) {
    const part = missing.slice(start, start + AT_ONCE), request = fetched(part);
    part.forEach((id) => asked.set(id, request));
  }
  await Promise.all(ids.map((id) => asked.get(id)));
}

async function fetched(ids) {
  try {
    for (const photo of (await get("photos", { ids })).photos) { photos.set(photo.id, photo); grid.refill(photo.id); }
  } catch (error) {
    complain(error.message);
  }
  ids.forEach((id) => asked.delete(id));
  for (const id of photos.keys()) {
    if (photos.size <= REMEMBERED) break;
    photos.delete(id);
  }
}

// ---- a tile

function fill(tile, id) {
  const photo = photos.get(id);
  if (!photo) return;
  const image = tile.querySelector("img"), said = tile.querySelector(".verdict"), where = `/thumbnail/${photo.sha256}.jpg`;
  if (image.getAttribute("src") !== where) {
    image.onerror = () => image.parentElement.classList.add("broken");
    image.src = where;
  }
  image.alt = `${photo.query}, ${photo.file}, ${verdict(photo)}`;
  if (photo.twin && !tile.querySelector(".twin")) image.parentElement.after(besides(photo, image.parentElement.tabIndex));
  tile.dataset.decision = photo.decision ?? "";
  tile.querySelector(".badge").textContent = photo.decision ? pressed[photo.decision] : "";
  // The text that the heading above does not already contain.
  said.textContent = selection.by === "check" ? photo.query : titles.check(photo.check);
  said.title = `${photo.file}: ${verdict(photo)}`;
  said.classList.toggle("rejected", photo.verdict !== "kept");
  for (const kind of ["keep", "reject"]) {
    const button = tile.querySelector(`.${kind}`);
    button.setAttribute("aria-pressed", photo.decision === kind);
    button.setAttribute("aria-label", `${kind === "keep" ? "Keep" : "Reject"} ${photo.file}`);
    button.title = kind === "keep" ? "Keep (k)" : "Reject (r)";
  }
}

/** The small picture of the photo that this photo is a duplicate of. */
function besides(photo, tabIndex) {
  const twin = $("#twin").content.firstElementChild.cloneNode(true), picture = twin.firstElementChild;
  picture.src = `/thumbnail/${photo.twin.sha256}.jpg`;
  picture.alt = photo.twin.file;
  twin.tabIndex = tabIndex;
  twin.setAttribute("aria-label", `Compare ${photo.file} with its twin ${photo.twin.file}`);
  return twin;
}

const grid = new Grid($("#grid"), {
  fill, needed: need, title: (name) => titles[selection.by](name), turned: () => { if (enlarged) enlarge(); },
});

/** Move to a photo. Moves are counted, so that a late response does not move the user again. */
let moves = 0;
function go(index, options) { moves += 1; grid.activate(index, options); }

// ---- decisions

function say(text) { $("#said").textContent = text; }

function standing({ decision, note }) { return { decision, note }; }

async function write(id, decision, note, over) {
  const photo = photos.get(id);
  const before = standing(photo);
  try {
    const after = await post("decisions", { id, decision, ...(note === undefined ? {} : { note }), ...(over ? { over } : {}) });
    // Files with the same bytes may be listed under several queries: a decision applies to all of them.
    for (const other of photos.values()) {
      if (other.sha256 === photo.sha256) { Object.assign(other, after); grid.refill(other.id); }
      if (other.twin?.sha256 === photo.sha256) other.twin.decision = after.decision;
    }
    large.saved(id, { decision, note });
    if (enlarged === id) enlarge(id);
    count().catch((error) => complain(error.message));
    return { before, after };
  } catch (error) {
    complain(error.message);
    if (error.status === 409 || error.status === 404) await refresh();
    return null;
  }
}

async function decide(id, kind, note) {
  await need([id]);
  const photo = photos.get(id);
  if (!photo) return;
  const done = await write(id, kind, note ?? (photo.decision ? undefined : large.draft(id)));
  if (!done || JSON.stringify(done.before) === JSON.stringify(done.after)) return;
  undone.push({ id, file: photo.file, ...done });
  remember();
  say(kind ? `${photo.file} ${pressed[kind]}` : `${photo.file} left to the checks`);
}

/** The same choice again undoes the decision. */
async function toggle(id, kind) {
  await need([id]);
  return decide(id, photos.get(id)?.decision === kind ? null : kind);
}

async function undo(before) {
  const last = undone.pop();
  if (!last) return;
  remember();
  const index = list.ids.indexOf(last.id);
  if (index >= 0 && moves === before) grid.activate(index, { focus: !large.shown });
  await need([last.id]);
  if (!photos.has(last.id)) return complain(`${last.file} is no longer in the table.`);
  if (await write(last.id, last.before.decision, last.before.note, last.after)) say(`Undone: ${last.file}`);
}

function remember() {
  sessionStorage.setItem("undo", JSON.stringify(undone));
  $("#undo").disabled = !undone.length;
  $("#undo span").textContent = undone.length ? ` ${undone.length}` : "";
}

// Actions run one after the other, in the order of the keys.
let queue = Promise.resolve();
const inTurn = (work) => { queue = queue.then(work).catch((error) => complain(error.message)); return queue; };
const undoInTurn = () => { const before = moves; return inTurn(() => undo(before)); };

// ---- the large view

let enlarged = null;  // the photo that it shows, or will show as soon as its data has arrived
const large = new Large({
  verdict,
  write: (id, decision, note) => inTurn(() => decide(id, decision, note)),
  open: (id) => { const index = list.ids.indexOf(id); if (index >= 0) go(index, { focus: false }); else enlarge(id); },
  // At once: the browser restores the old focus, but the next key must apply to the current photo.
  closed: () => { enlarged = null; grid.activate(grid.active); },
});

async function enlarge(id = list.ids[grid.active]) {
  enlarged = id;
  if (!photos.has(id)) await need([id]);
  if (enlarged !== id) return;  // meanwhile closed, or another photo
  if (!photos.has(id)) { enlarged = large.shown ? large.photo.id : null; return; }
  present(id);
  await need(photos.get(id).mates);
  if (enlarged === id && photos.has(id)) present(id);
}

function present(id) {
  const photo = photos.get(id), index = list.ids.indexOf(id);
  const mates = photo.mates.map((mate) => photos.get(mate)).filter(Boolean);
  large.show(photo, { mates, position: index < 0 ? "" : `${index + 1} of ${list.ids.length}` });
}

const current = () => enlarged ?? list.ids[grid.active];
const decideHere = (kind) => { const id = current(); if (id) inTurn(() => toggle(id, kind)); };

// ---- viewed photos

async function look() {
  if (document.visibilityState !== "visible") return;
  const inView = new Set(large.shown ? [large.photo.id] : grid.inView());
  // Only photos that are in view twice in a row count: others just scroll past.
  const seen = [...inView].filter((id) => seenBefore.has(id) && !reported.has(id));
  seenBefore = inView;
  if (!seen.length) return;
  seen.forEach((id) => reported.add(id));
  await post("viewed", { ids: seen });
  await count();
}

async function refresh() {
  photos.clear();
  await count();
  grid.draw();
}

// ---- mouse and keys

$("#grid").addEventListener("click", (event) => {
  const button = event.target.closest("button"), tile = event.target.closest("article");
  if (!button) return;
  const index = Number(tile.dataset.index), id = list.ids[index];
  go(index, { focus: false });
  if (button.matches(".photo, .twin")) enlarge();
  else inTurn(() => toggle(id, button.matches(".keep") ? "keep" : "reject"));
});
$("#grid").addEventListener("focusin", (event) => {
  const index = Number(event.target.closest("article")?.dataset.index);
  if (index >= 0 && index !== grid.active && !large.closing) go(index, { focus: false });
});
for (const kind of ["keep", "reject"]) {
  $(`#large .${kind}`).addEventListener("click", () => { const id = enlarged; inTurn(() => toggle(id, kind)); });
}
$("#back").addEventListener("click", () => go(grid.active - 1, { focus: false }));
$("#on").addEventListener("click", () => go(grid.active + 1, { focus: false }));
$("#undo").addEventListener("click", undoInTurn);
$("#help").addEventListener("click", () => $("#guide").showModal());
for (const field of ["#show", "#choices"]) {
  $(field).addEventListener("change", reopen);
}

// Keys apply to the photos. A filter gets them only while it is operated with keys.
let hand = "";  // the last input: the pointer, or a key
addEventListener("pointerdown", () => { hand = "pointer"; }, true);
addEventListener("keydown", (event) => { hand = event.key; }, true);
const byItself = () => hand.length === 1 && hand !== " " || /^Arrow|^Home$|^End$|^Page/.test(hand);
function toPhotos() {
  document.activeElement.blur();
  setTimeout(async () => {  // a click event comes before the change event that it causes
    await reopening;
    if (document.activeElement === document.body) grid.focus();
  });
}
$("#show").addEventListener("click", () => { if (hand === "pointer") toPhotos(); });
$("#choices").addEventListener("change", () => { if (!byItself()) toPhotos(); });
$("header").addEventListener("keydown", (event) => {
  if (event.key !== "Escape" || !event.target.matches("select, [type=radio]")) return;
  event.preventDefault();
  toPhotos();
});

document.addEventListener("keydown", (event) => {
  const plain = !event.ctrlKey && !event.metaKey && !event.altKey;
  const filtering = event.target.matches("[type=radio]") && /^Arrow|^Home$|^End$|^ $/.test(event.key);
  const typing = event.target.matches("#note, select") || filtering;
  if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "z" && !typing) {
    event.preventDefault();
    undoInTurn();
  }
  if (!plain || typing || $("#guide").open || event.defaultPrevented) return;
  const key = event.key.length === 1 ? event.key.toLowerCase() : event.key, known = list.ids.length > 0 || reopening;
  const keys = {
    k: () => decideHere("keep"),
    r: () => decideHere("reject"),
    u: undoInTurn,
    n: () => large.shown && $("#note").focus(),
    "?": () => $("#guide").showModal(),
  };
  const arrow = /^Arrow|^Home$|^End$/.test(key) && (!large.shown || /Left|Right|Home|End/.test(key));
  if (arrow && known) keys[key] = () => go(grid.neighbor(key), { focus: !large.shown });
  // On a button, these keys press it; otherwise they open and close the photo.
  if ((key === "Enter" || key === " ") && known && !document.activeElement.matches("button")) {
    keys[key] = () => (large.shown ? large.close() : enlarge());
  }
  if (!keys[key] || (event.repeat && !arrow)) return;
  event.preventDefault();
  if (reopening) reopening.then(keys[key]); else keys[key]();
});

document.addEventListener("visibilitychange", () => {
  if (document.visibilityState === "visible") refresh().catch((error) => complain(error.message));
});

// ---- start, with the filters in the address

const initial = new URLSearchParams(location.search);
const radio = [...document.querySelectorAll("[name=show]")].find(({ value }) => value === initial.get("show"));
if (radio) radio.checked = true;
if (["query", "check"].includes(initial.get("by"))) $("#by").value = initial.get("by");
for (const name of ["query", "check"]) {
  const value = initial.has(name) ? `=${initial.get(name)}` : "*";
  $(`#${name}`).replaceChildren(new Option("", value));
}
remember();
reopen();
setInterval(() => look().catch(() => {}), LOOK);
