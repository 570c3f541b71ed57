// Requests to the server. Every error is an Error with one sentence, and the server's status if it answered.

const KEY = "session";
const RETRIES = 20;
const PAGE = crypto.getRandomValues(new Uint32Array(2)).join("-"); // after a reload it is another one

export const session = {
  get key() { return sessionStorage.getItem(KEY) ?? ""; },
  set key(value) { value ? sessionStorage.setItem(KEY, value) : sessionStorage.removeItem(KEY); },
};

let starting;

async function started() {
  if (session.key) return;
  starting ??= send("/api/sessions", { method: "POST" }).then(async (response) => {
    session.key = (await response.json()).session;
  }).finally(() => { starting = undefined; });
  await starting;
}

async function send(path, options = {}) {
  const headers = { ...options.headers, ...(session.key && { Session: session.key, Page: PAGE }) };
  let response;
  try {
    response = await fetch(path, { ...options, headers });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Error("the server does not answer; is `colorize serve` still running?");
  }
  if (response.ok) return response;
  const { error } = await response.json().catch(() => ({ error: `the server answered ${response.status}` }));
  if (response.status === 410) session.key = "";
  throw Object.assign(new Error(error), { status: response.status });
}

// A busy server is asked again, with growing pauses.
async function patiently(path, options) {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await send(path, options);
    } catch (error) {
      if (error.status !== 503 || attempt === RETRIES) throw error;
      await new Promise((resolve) => setTimeout(resolve, Math.min(200 * attempt, 2000) * (0.5 + Math.random())));
    }
  }
}

const json = (body) => ({
  method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body),
});

export const about = async () => (await send("/api/about")).json();
export const card = async (number) => (await send(`/api/cards/${number}`)).text();
export const example = async (name) => (await send(`/examples/${name}`)).blob();
export const photos = async () => (await (await send("/api/photos")).json()).photos;
export const gray = async (id) => (await patiently(`/api/photos/${id}/gray`)).blob();
export const preview = async (id, settings, signal) =>
  (await patiently(`/api/photos/${id}/preview`, { ...json(settings), signal })).blob();
export const whole = async (id, settings) => (await patiently(`/api/photos/${id}/whole`, json(settings))).json();
export const likely = async (id, place) => (await (await send(`/api/photos/${id}/likely`, json(place))).json()).colors;
export const others = async (id, settings) =>
  (await (await patiently(`/api/photos/${id}/others`, json(settings))).json()).others;
export const reference = async (id, file, model) =>
  (await patiently(`/api/photos/${id}/reference?${new URLSearchParams({ model })}`, { method: "POST", body: file })).json();
export const saveHints = async (id, hints) => (await send(`/api/photos/${id}/save-hints`, json({ hints }))).blob();
export const loadHints = async (id, file) =>
  (await (await send(`/api/photos/${id}/load-hints`, { method: "POST", body: file })).json()).hints;
export const archive = async (keys) => (await send("/api/archive", json({ keys }))).json();
export const remove = (id) => send(`/api/photos/${id}`, { method: "DELETE" });

async function uploadTo(path, file) {
  await started();
  const headers = { "Content-Type": "application/octet-stream" };
  const address = `${path}?${new URLSearchParams({ name: file.name })}`;
  return (await patiently(address, { method: "POST", headers, body: file })).json();
}

export const upload = (file) => uploadTo("/api/photos", file);

export const films = async () => (await (await send("/api/films")).json()).films;
export const film = async (id) => (await send(`/api/films/${id}`)).json();
export const colorFilm = async (id, settings) => (await patiently(`/api/films/${id}/color`, json(settings))).json();
export const removeFilm = (id) => send(`/api/films/${id}`, { method: "DELETE" });
export const uploadFilm = (file) => uploadTo("/api/films", file);

export async function open(url) {
  await started();
  return (await patiently("/api/addresses", json({ url }))).json();
}

export function leave() {
  if (session.key) navigator.sendBeacon("/api/leave", `${session.key} ${PAGE}`);
}

export function download({ key, name }) {
  const link = document.createElement("a");
  link.href = `/downloads/${key}`;
  link.download = name;
  link.click();
}
