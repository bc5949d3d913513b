// All text is set as text. What a key says is never read as HTML.

const of = (id) => document.getElementById(id);

// The token is in the address behind the #, which no browser sends to a server.
const given = new URLSearchParams(location.hash.slice(1)).get("token");
if (given) {
  sessionStorage.setItem("idem-token", given);
  history.replaceState(null, "", location.pathname);
}
const token = sessionStorage.getItem("idem-token");
const authorization = token ? { authorization: `Bearer ${token}` } : {};

async function ask(path, body) {
  const options = { headers: { ...authorization } };
  if (body) {
    options.method = "POST";
    options.headers["content-type"] = "application/json";
    options.body = JSON.stringify(body);
  }
  const response = await fetch(path, options);
  const answer = await response.json().catch(() => ({}));
  if (!response.ok) throw new Error(answer.message ?? `HTTP ${response.status}`);
  return answer;
}

function node(tag, className, text) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
}

function show(id, text) {
  of(id).textContent = text;
  of(id).hidden = !text;
}

// One unit, rounded down, as the command line has it.
function time(seconds) {
  if (seconds < 1) return `${Math.floor(seconds * 1000)} ms`;
  if (seconds < 120) return `${Math.floor(seconds)} s`;
  if (seconds < 7200) return `${Math.floor(seconds / 60)} min`;
  if (seconds < 172800) return `${Math.floor(seconds / 3600)} h`;
  if (seconds < 63072000) return `${Math.floor(seconds / 86400)} days`;
  return `${Math.floor(seconds / 31536000)} years`;
}

const size = (bytes) => (bytes < 10240 ? `${bytes} bytes` : `${bytes >> 10} KiB`);

// ---- the overview

const states = ["halted", "abandoned", "in-flight", "retryable", "released", "completed", "failed"];

function tiles(counts) {
  if (!of("tiles").children.length) {
    for (const state of states) {
      const tile = node("div");
      tile.append(node("dt", "", state), node("dd"));
      of("tiles").append(tile);
    }
  }
  states.forEach((state, index) => {
    const tile = of("tiles").children[index];
    tile.lastChild.textContent = counts[state].toLocaleString("en");
    tile.classList.toggle("bad", index < 2 && counts[state] > 0);
  });
}

function makeRow() {
  const row = node("li");
  const button = node("button");
  button.type = "button";
  button.append(node("span", "key"), node("span", "quiet"), node("span", "why"));
  button.addEventListener("click", () => open(row.dataset.key).catch((error) => show("trouble", error.message)));
  row.append(button);
  return row;
}

function fillRow(row, record) {
  const button = row.firstChild;
  const [key, facts, why] = button.children;
  row.dataset.key = record.key;
  key.textContent = record.shown;
  const lease = record.lease_s === null || record.state !== "in-flight" ? "" : ` of ${time(record.lease_s)}`;
  facts.replaceChildren(
    node("span", `state ${record.state}`, record.state),
    ` · ${time(record.age_s)}${lease} since its last write · attempt ${record.attempt}`,
  );
  why.textContent = record.why;
  let bar = button.querySelector("progress");
  if (record.state === "in-flight") {
    if (!bar) {
      bar = node("progress");
      bar.setAttribute("aria-label", "share of the lease that is used");
      button.append(bar);
    }
    bar.max = record.lease_s;
    bar.value = Math.min(record.age_s, record.lease_s);
    bar.className = record.age_s > (record.lease_s * 2) / 3 ? "late" : "";
  } else if (bar) {
    bar.remove();
  }
}

// Rows are kept while their record is listed, so that focus and reading are not lost.
function rows(id, records, total, states) {
  const list = of(id);
  const focused = document.activeElement;
  const there = new Map([...list.children].map((row) => [row.dataset.key, row]));
  records.forEach((record, index) => {
    const row = there.get(record.key) ?? makeRow();
    there.delete(record.key);
    fillRow(row, record);
    if (list.children[index] !== row) list.insertBefore(row, list.children[index] ?? null);
  });
  for (const row of there.values()) row.remove();
  if (focused !== document.activeElement && list.contains(focused)) focused.focus();
  const more = total - records.length;
  const empty = of(`${id}-empty`);
  empty.dataset.text ??= empty.textContent;
  empty.textContent = more > 0 ? `And ${more} more: idem list ${states}` : empty.dataset.text;
  empty.hidden = records.length > 0 && more <= 0;
}

function entry(change, withSubject) {
  const item = node("li");
  const at = change.at.slice(0, 19).replace("T", " ");
  item.append(
    node("div", "quiet", `${at} UTC · ${change.by}`),
    node("div", "", `${change.action}: ${change.from} → ${change.to}, ${change.outcome}`),
    node("div", "why", change.reason),
  );
  if (withSubject) item.append(node("div", "key", change.subject));
  return item;
}

function entries(id, changes, withSubject) {
  of(id).replaceChildren(...changes.map((change) => entry(change, withSubject)));
  of(`${id}-empty`).hidden = changes.length > 0;
}

function overview(data) {
  show("trouble", "");
  tiles(data.states);
  const rate = (span) => `${span.claimed.toLocaleString("en")} claimed, ${span.ended.toLocaleString("en")} ended`;
  of("rates").textContent = `Last minute: ${rate(data.minute)}. Last hour: ${rate(data.hour)}.`;
  rows("stuck", data.stuck, data.states.halted + data.states.abandoned, "--state halted --state abandoned");
  rows("running", data.running, data.states["in-flight"], "--state in-flight");
  rows("waiting", data.waiting, data.states.retryable, "--state retryable");
  entries("changes", data.changes, true);
  const part = data.whole ? "" : " There are more: this is a part.";
  const unreadable = data.unreadable ? ` ${data.unreadable.toLocaleString("en")} cannot be read: see idem list.` : "";
  of("cost").textContent =
    `${data.read.toLocaleString("en")} records, read in ${data.took_ms} ms.${part}${unreadable}`;
}

// Events by fetch: an EventSource sends no token.
async function follow() {
  const response = await fetch("api/events", { headers: authorization });
  if (!response.ok) {
    const answer = await response.json().catch(() => ({}));
    throw new Error(answer.message ?? `HTTP ${response.status}`);
  }
  link("live", "live");
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) throw new Error("the server closed the connection");
    text += value;
    const events = text.split("\n\n");
    text = events.pop();
    for (const event of events) {
      const fields = Object.fromEntries(event.split("\n").map((line) => line.split(/: ?(.*)/s, 2)));
      if (fields.event === "overview") overview(JSON.parse(fields.data));
      if (fields.event === "trouble") show("trouble", JSON.parse(fields.data).message);
    }
  }
}

function link(className, text) {
  of("link").className = className;
  of("link").textContent = text;
}

async function stayConnected() {
  for (let pause = 1000; ; pause = Math.min(pause * 2, 15000)) {
    const begun = Date.now();
    try {
      await follow();
    } catch (error) {
      link("lost", "not connected");
      show("trouble", error.message);
    }
    if (Date.now() - begun > 10000) pause = 1000;
    await new Promise((resolve) => setTimeout(resolve, pause));
  }
}

// ---- one record

let shown = null;
let actor = null;

function fact(name, value) {
  if (value === null || value === undefined) return;
  of("facts").append(node("dt", "", name), node("dd", "", value));
}

function payload(is) {
  if (!is) return "none";
  if (is.kind === "http") return `HTTP ${is.status}, ${is.body_omitted ? "body not kept" : size(is.bytes)}`;
  return `${is.kind === "json" ? "JSON" : "bytes"}, ${size(is.bytes)}`;
}

function fill(record) {
  shown = record;
  of("record-key").textContent = record.shown;
  of("facts").replaceChildren();
  of("record-why").textContent = record.why ?? "The record is gone; this is what was done to it.";
  if (record.state) {
    of("facts").append(node("dt", "", "state"), node("dd", `state ${record.state}`, record.state));
    fact("attempt", String(record.attempt));
    fact("last write", record.age_s === null ? "not told by the store" : `${time(record.age_s)} ago`);
    fact("claimed", record.created_at.slice(0, 19).replace("T", " ") + " UTC");
    fact("lease", record.lease_s === null ? null : time(record.lease_s));
    fact("kept for", record.remaining_s === null ? null : time(record.remaining_s));
    fact(record.payload_is, payload(record.payload));
    fact("version", record.version);
  }
  const may = (refusal) => record.state !== undefined && actor !== null && !refusal;
  of("settle").hidden = !may(record.resolve_refused);
  of("free").hidden = !may(record.release_refused);
  of("means").textContent = record.release_means ?? "";
  const isStuck = !of("settle").hidden || !of("free").hidden;
  const why = actor === null ? "you may look, and not act" : record.resolve_refused;
  show("refused", record.state && !isStuck && !of("said").textContent ? why : "");
  entries("history", record.history.toReversed(), false);
}

// An answer that comes late must not take the place of a record that was asked for after it.
let asked = 0;

async function load(key) {
  const mine = ++asked;
  const record = await ask("api/record", { key });
  if (mine === asked) fill(record);
}

async function open(key) {
  await session;
  said("", "");
  for (const id of ["resolve", "release"]) of(id).reset();
  for (const id of ["settle", "free"]) of(id).open = false;
  answerFields();
  await load(key);
  if (!of("record").open) of("record").showModal();
}

function said(className, text) {
  of("said").className = className;
  of("said").textContent = text;
}

async function act(path, body, done) {
  try {
    await ask(path, { key: shown.key, version: shown.version, ...body });
    said("good", done);
    of("settle").open = of("free").open = false;
  } catch (error) {
    said("bad", error.message);
  }
  await load(shown.key).catch((error) => said("bad", error.message));
}

function answerFields() {
  const how = new FormData(of("resolve")).get("how");
  of("answer").hidden = how === "run-again";
  of("value").required = how !== "run-again";
}

of("resolve").addEventListener("change", answerFields);
of("resolve").addEventListener("submit", (event) => {
  event.preventDefault();
  const form = new FormData(event.target);
  const status = form.get("how") === "run-again" ? "" : form.get("status");
  act("api/resolve", {
    how: form.get("how"),
    value: form.get("value"),
    status: status ? Number(status) : null,
    reason: form.get("reason"),
  }, "Settled.");
});
of("release").addEventListener("submit", (event) => {
  event.preventDefault();
  act("api/release", { reason: new FormData(event.target).get("reason") }, "Released.");
});
of("close").addEventListener("click", () => of("record").close());
of("lookup").addEventListener("submit", (event) => {
  event.preventDefault();
  show("missing", "");
  open(of("key").value.trim()).catch((error) => show("missing", error.message));
});

document.addEventListener("keydown", (event) => {
  const isTyping = event.target.matches("input, textarea");
  if (isTyping || event.ctrlKey || event.metaKey || event.altKey || of("record").open) return;
  if (event.key === "/") {
    event.preventDefault();
    of("key").focus();
  } else if (event.key === "j" || event.key === "k") {
    const all = [...document.querySelectorAll(".rows button")];
    const at = all.indexOf(document.activeElement);
    const next = event.key === "j" ? at + 1 : Math.max(at, 1) - 1;
    all[Math.min(next, all.length - 1)]?.focus();
  }
});

const session = ask("api/session")
  .then((told) => {
    actor = told.actor;
    of("title").textContent = told.title;
    document.title = told.title;
  })
  .catch((error) => show("trouble", error.message));
stayConnected();
