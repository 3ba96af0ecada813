// The dashboard works without this script. With it, pages follow what happens, dialogs ask before something is changed, and two answers
// come side by side.

const $ = (id) => document.getElementById(id);

// Dialogs.
document.addEventListener("click", (event) => {
  const opener = event.target.closest("[data-opens]");
  if (opener) $(opener.dataset.opens).showModal();
  if (event.target.closest("[data-closes]")) event.target.closest("dialog").close();
});

// A form that takes long says so, and is sent once.
document.addEventListener("submit", (event) => {
  const form = event.target;
  if (form.dataset.busy === undefined) return;
  const button = form.querySelector("button:not([type=button])");
  button.disabled = true;
  button.textContent = form.dataset.busy;
});
window.addEventListener("pageshow", (event) => { if (event.persisted) location.reload(); });

// Sections marked so are fetched anew when something has changed, one time for many events. A dialog that is open stays.
let waiting = 0;
function refreshSoon() {
  clearTimeout(waiting);
  waiting = setTimeout(refresh, 250);
}
async function refresh() {
  if (document.querySelector("dialog[open]")) return refreshSoon();
  try {
    const answer = await fetch(location.href, { headers: { Accept: "text/html" } });
    if (!answer.ok || answer.redirected) return;
    const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
    for (const old of document.querySelectorAll("[data-refresh]")) {
      const next = fresh.getElementById(old.id);
      if (next && next.innerHTML !== old.innerHTML && !old.contains(document.activeElement)) old.innerHTML = next.innerHTML;
    }
  } catch { /* the connection is told about below */ }
}

const words = {
  checking: "is being checked", progress: "", checked: "was checked", staged: "is staged and verified", live: "is live", refused: "was refused by the gate",
  failed: "failed", unloaded: "was unloaded", freed: "was freed", backend: "backend", gap: "some events were missed",
};
const mostLines = 100;
const running = new Map(); // the line of a load that goes on, by alias

function tell(event) {
  const feed = $("feed");
  if (!feed) return;
  const quiet = $("quiet");
  if (quiet) quiet.hidden = true;
  let line = event.kind === "progress" ? running.get(event.alias) : undefined;
  if (!line) {
    line = document.createElement("li");
    feed.prepend(line);
    while (feed.children.length > mostLines) feed.lastElementChild.remove();
  }
  if (event.kind === "progress") running.set(event.alias, line); else running.delete(event.alias);
  line.className = event.kind;
  const time = document.createElement("time");
  time.textContent = new Date(event.time).toLocaleTimeString();
  const subject = document.createElement("strong");
  subject.textContent = event.alias || "";
  let text = words[event.kind] ?? event.kind;
  if (event.kind === "progress") text = event.step || "";
  if (event.verdict) text += ` (${event.verdict})`;
  if (event.message) text += `: ${event.message}`;
  line.replaceChildren(time, " ", subject, " ", text);
  if (event.total > 0) {
    const bar = document.createElement("progress");
    bar.max = event.total;
    bar.value = event.done ?? 0;
    bar.setAttribute("aria-label", text);
    line.append(" ", bar);
  }
}

if ($("feed") || document.querySelector("[data-refresh]")) {
  const source = new EventSource("/ui/events");
  source.addEventListener("open", () => { $("connection").textContent = "· following"; });
  source.addEventListener("error", () => { $("connection").textContent = "· the connection is lost, trying again"; });
  source.addEventListener("message", (message) => {
    const event = JSON.parse(message.data);
    tell(event);
    if (event.kind !== "progress") refreshSoon();
  });
  addEventListener("beforeunload", () => source.close());
}

// Two answers.
const form = $("compare");
if (form) {
  let asking;
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    asking?.abort();
    asking = new AbortController();
    const mine = asking;
    $("stop").hidden = false;
    $("difference").textContent = "";
    const fields = new FormData(form);
    const texts = await Promise.all(["left", "right"].map((side) => ask(side, fields, mine.signal)));
    if (mine !== asking) return;
    $("stop").hidden = true;
    if (texts.every((text) => text !== undefined)) difference(texts);
  });
  $("stop").addEventListener("click", () => { asking?.abort(); $("stop").hidden = true; });
}

async function ask(side, fields, signal) {
  const out = $(`${side}-text`), of = $(`${side}-of`);
  out.textContent = "";
  of.textContent = "…";
  try {
    const body = new URLSearchParams({ choice: fields.get(side), prompt: fields.get("prompt"), tokens: fields.get("tokens") });
    const answer = await fetch("/ui/complete", { method: "POST", body, signal });
    if (!answer.ok) {
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      of.textContent = page.querySelector("[role=alert]")?.textContent ?? `refused: ${answer.status}`;
      return undefined;
    }
    const generation = answer.headers.get("X-Tenon-Generation") ?? "";
    of.textContent = generation === "base" ? "the base" : `generation ${generation.replace("sha256:", "").slice(0, 12)}`;
    const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return out.textContent;
      out.textContent += value;
    }
  } catch (error) {
    of.textContent += error.name === "AbortError" ? " (stopped)" : " (the answer broke off)";
    return undefined;
  }
}

// difference marks where two answers part.
function difference([left, right]) {
  if (left === right) {
    $("difference").textContent = "Both answers are the same.";
    return;
  }
  let same = 0;
  while (same < left.length && same < right.length && left[same] === right[same]) same++;
  for (const [side, text] of [["left", left], ["right", right]]) {
    const mark = document.createElement("mark");
    mark.textContent = text.slice(same);
    $(`${side}-text`).replaceChildren(text.slice(0, same), mark);
  }
  $("difference").textContent = same === 0 ? "The answers differ from the first character." : `The answers are the same for ${same} characters, then part.`;
}
