// The watch page: asks every two seconds what there is, and shows it. All text is inserted as text, never as HTML.

import { Chart } from "./chart.js";

const $ = (selector) => document.querySelector(selector);
const EVERY = 2000, STATES = { waiting: "waiting", running: "running", stopped: "stopped", ended: "ended" };
const charts = new Map();
let chosen = new URLSearchParams(location.search).get("training"), shown = null, have = "";

async function ask() {
  let response;
  try {
    response = await fetch(`/api/state?${new URLSearchParams({ training: chosen ?? shown ?? "", have })}`);
  } catch {
    throw new Error("The server does not answer: is `python -m stages.train watch` still running?");
  }
  const content = await response.json().catch(() => ({ error: `The server answered ${response.status}.` }));
  if (!response.ok) throw new Error(content.error);
  return content;
}

async function look() {
  try {
    show(await ask());
    $("#trouble").hidden = true;
  } catch (error) {
    if ($("#trouble").textContent !== error.message) $("#trouble").textContent = error.message;
    $("#trouble").hidden = false;
  }
}

function show(found) {
  put($("#state"), STATES[found.state]);
  put($("#sentence"), found.sentence);
  put($("#best"), found.best);
  put($("#facts"), found.facts);
  $("#progress").hidden = !found.steps;
  if (found.steps) Object.assign($("#progress"), { max: found.steps, value: found.step });
  const share = found.steps && found.state === "running" ? `${Math.floor((100 * found.step) / found.steps)} % · ` : "";
  put(document.querySelector("title"), `${share}${STATES[found.state]} · Training · Ungray`);
  choices(found);
  if (found.curves) draw(found.curves);
  have = found.version;
  picture("grid", found.pictures.grid, (epoch) => `${epoch ? `After epoch ${epoch}` : "Before the first epoch"}: val photos in gray, as colored, and true`);
  picture("learning", found.pictures.learning);
  // Without a choice by hand the page goes on to a training that has begun.
  shown = found.state !== "running" && found.trainings.find(({ state }) => state === "running")?.id || found.id;
}

/** Text that stays the same is not written again: it would be read out again, or a selection lost. */
function put(node, text) { if (node.textContent !== text) node.textContent = text; }

function choices({ id, title, trainings }) {
  const select = $("#training"), several = trainings.length > 1;
  $("#choice").hidden = !several;
  put($("#title"), several ? "" : title);
  const texts = trainings.map((training) => [training.id, `${training.title} (${STATES[training.state]})`]);
  if (JSON.stringify(texts) !== select.dataset.texts) {
    select.dataset.texts = JSON.stringify(texts);
    select.replaceChildren(...texts.map(([value, text]) => new Option(text, value)));
  }
  if (select.value !== id) select.value = id;
}

$("#training").addEventListener("change", (event) => {
  chosen = event.target.value;
  have = "";
  history.replaceState(null, "", `?${new URLSearchParams({ training: chosen })}`);
  look();
});

function draw(curves) {
  for (const [name, chart] of charts) {
    if (!curves.some((curve) => curve.name === name)) { chart.figure.remove(); charts.delete(name); }
  }
  for (const curve of curves) {
    if (!charts.has(curve.name)) charts.set(curve.name, new Chart());
    const chart = charts.get(curve.name);
    if (!chart.figure.isConnected) $("#curves").append(chart.figure);
    chart.show(curve);
  }
  table(curves);
}

function table(curves) {
  const columns = curves.flatMap((curve) => Object.keys(curve.lines).map((line) => ({ curve, line,
    cells: new Map(curve.lines[line].map(([epoch], index) => [epoch, curve.texts[line][index]])) })));
  const epochs = [...new Set(columns.flatMap(({ cells }) => [...cells.keys()]))].sort((one, other) => one - other);
  const head = row("th", ["epoch", ...columns.map(({ curve, line }) => `${curve.name.replaceAll("_", " ")}${Object.keys(curve.lines).length > 1 ? `, ${line}` : ""}`)]);
  for (const cell of head.children) cell.scope = "col";
  const rows = epochs.map((epoch) => row("td", [epoch, ...columns.map(({ cells }) => cells.get(epoch) ?? "")]));
  const parts = [document.createElement("thead"), document.createElement("tbody")];
  parts[0].append(head);
  parts[1].append(...rows);
  $("#figures table").replaceChildren(...parts);
  $("#figures").hidden = !epochs.length;
}

function row(kind, texts) {
  const made = document.createElement("tr");
  made.append(...texts.map((text) => Object.assign(document.createElement(kind), { textContent: text })));
  return made;
}

function picture(id, about, caption) {
  const figure = $(`#${id}`), image = figure.querySelector("img");
  figure.hidden = !about;
  if (!about) return;
  if (caption) { put(figure.querySelector("figcaption"), caption(about.epoch)); image.alt = caption(about.epoch); }
  figure.querySelector("a").href = about.address;
  if (image.getAttribute("src") !== about.address) image.src = about.address;
}

async function watch() {
  if (!document.hidden) await look();
  setTimeout(watch, EVERY);
}
document.addEventListener("visibilitychange", () => { if (!document.hidden) look(); });
watch();
