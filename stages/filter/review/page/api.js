// Requests to the server. Every error is shown in one sentence at the top of the page.

const trouble = document.querySelector("#trouble");
let hide;

export function complain(sentence) {
  trouble.textContent = sentence;
  trouble.hidden = false;
  clearTimeout(hide);
  hide = setTimeout(() => { trouble.hidden = true; }, 8000);
}

async function answer(request) {
  let response;
  try {
    response = await request;
  } catch {
    throw new Error("The server does not answer: is `python -m stages.filter review` still running?");
  }
  if (response.status === 204) return null;
  const content = await response.json().catch(() => ({ error: `The server answered ${response.status}.` }));
  if (response.ok) return content;
  throw Object.assign(new Error(content.error), { status: response.status });
}

export const get = (path, query = {}) => answer(fetch(`/api/${path}?${new URLSearchParams(query)}`));

export const post = (path, body) => answer(fetch(`/api/${path}`, {
  method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body),
}));
