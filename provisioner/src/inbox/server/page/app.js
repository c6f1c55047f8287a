// The page asks for what it has not seen and is told at once (long poll). Everything a sender wrote
// enters the page as text, never as markup.
"use strict";

const PAGE = 200;
const KEEP = 2000; // rows in memory; older ones are asked for again
const channels = { pagerduty: "PagerDuty", slack: "Slack", email: "e-mail", heartbeat: "heartbeat" };
const severities = ["critical", "error", "warning", "info"];

const messages = new Map(); // id → message, ids ascending
const expanded = new Map(); // id → { whole, tab }
let lastId = 0;
let more = false;
let channel = "";
let state = "";
let words = "";
let about = {};
let beats = { heartbeats: [], skew: 0 };

const $ = (id) => document.getElementById(id);

function el(tag, attributes, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes || {})) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else node.setAttribute(name, value === true ? "" : value);
  }
  for (const child of children.flat()) if (child !== null && child !== undefined) node.append(child);
  return node;
}

const accepted = (m) => m.verdict.result === "accepted";
const opens = (m) => accepted(m) && (m.kind === "trigger" || (m.kind === "message" && m.status === "firing"));
const closes = (m) => accepted(m) && (m.kind === "resolve" || (m.kind === "message" && m.status === "resolved"));

// id of what opened → { last, closed, closing, notices }
function incidents() {
  const found = new Map();
  for (const m of messages.values()) {
    if (m.incident === undefined || !accepted(m)) continue;
    const one = found.get(m.incident) || { notices: [] };
    one.notices.push(m);
    if (closes(m)) one.closed = m;
    found.set(m.incident, one);
  }
  return found;
}

function span(ms) {
  const s = Math.max(0, Math.round(ms / 1000));
  if (ms < 950) return "under 1s";
  if (s < 60) return `${s}s`;
  if (s < 3600) return `${Math.floor(s / 60)}m${String(s % 60).padStart(2, "0")}s`;
  if (s < 86400) return `${Math.floor(s / 3600)}h${String(Math.floor(s / 60) % 60).padStart(2, "0")}m`;
  return `${Math.floor(s / 86400)}d${Math.floor(s / 3600) % 24}h`;
}

const now = () => Date.now() + beats.skew;
const day = (date) => date.toLocaleDateString(undefined, { month: "short", day: "numeric" });

function clock(text) {
  const date = new Date(text);
  const time = date.toLocaleTimeString(undefined, { hour12: false });
  return date.toDateString() === new Date().toDateString() ? time : `${day(date)} ${time.slice(0, 5)}`;
}

function severity(m) {
  return severities.includes(m.severity) ? m.severity : "";
}

function stateOf(m, incident) {
  if (!accepted(m)) {
    return [el("span", { class: "no" }, `refused ${m.verdict.status}`)];
  }
  if (closes(m)) {
    const opened = messages.get(m.incident);
    const text = opened && opened.id !== m.id ? `was open ${span(new Date(m.received) - new Date(opened.received))}` : "";
    return [el("span", { class: "ok" }, "resolved"), text ? el("small", {}, text) : null];
  }
  if (opens(m)) {
    if (m.incident !== undefined && m.incident !== m.id) {
      return [el("span", {}, "repeated"), el("small", {}, incident && incident.closed ? "since resolved" : "still open")];
    }
    if (incident && incident.closed) {
      return [el("span", {}, "fired"), el("small", {}, `resolved after ${span(new Date(incident.closed.received) - new Date(m.received))}`)];
    }
    const small = el("small", { "data-since": m.received }, `for ${span(now() - new Date(m.received))}`);
    return [el("span", { class: "open" }, "open"), small];
  }
  return [el("span", {}, m.kind === "message" ? `${m.verdict.status}` : m.kind)];
}

function who(m) {
  const parts = [];
  if (m.team) parts.push(m.team);
  if (m.service && m.service !== m.team) parts.push(m.service);
  if (!parts.length) parts.push(m.channel === "email" ? m.endpoint : "");
  return parts.filter(Boolean).join(" · ");
}

function name(m) {
  return m.alertname || (m.mail && m.mail.subject) || m.summary || (accepted(m) ? "(no title)" : "refused request");
}

function summary(m) {
  if (!accepted(m)) return m.verdict.reasons.join("; ");
  const text = m.summary || "";
  return text === name(m) ? "" : text;
}

function row(m, found, fresh) {
  const incident = found.get(m.incident);
  const resolved = closes(m) || (incident && incident.closed && opens(m));
  const look = !accepted(m) ? "refused" : resolved ? "resolved" : severity(m);
  const isOpen = expanded.has(m.id);
  const badge = severity(m) ? el("span", { class: `badge ${severity(m)}` }, m.severity) : null;
  const drill = m.drill_id ? el("span", { class: "badge drill", title: `drill ${m.drill_id}` }, "drill") : null;
  const what = el("span", { class: "what" },
    el("span", { class: "name" }, name(m)), " ", badge, " ", drill,
    summary(m) ? el("span", { class: "summary" }, summary(m)) : null);
  const button = el("button", {
    type: "button", class: "row", "aria-expanded": String(isOpen), "aria-controls": `detail-${m.id}`,
    onclick: () => toggle(m.id),
  },
    el("time", { datetime: m.received, title: `${m.received} (UTC)` }, clock(m.received)),
    el("span", { class: "channel" }, channels[m.channel] || m.channel),
    what,
    el("span", { class: "who" }, who(m)),
    el("span", { class: "state" }, stateOf(m, incident)));
  const item = el("li", { class: `item ${look}${fresh ? " fresh" : ""}`, "data-id": m.id }, button);
  if (isOpen) item.append(detail(m, incident));
  return item;
}

function detail(m, incident) {
  const kept = expanded.get(m.id);
  const box = el("div", { class: "detail", id: `detail-${m.id}` });
  if (!accepted(m)) {
    box.append(el("ul", { class: "reasons" }, m.verdict.reasons.map((reason) => el("li", {}, reason))));
  }
  const mail = m.mail || {};
  const link = m.runbook && /^https?:\/\//.test(m.runbook)
    ? el("a", { href: m.runbook, rel: "noreferrer noopener", target: "_blank" }, m.runbook) : m.runbook;
  const facts = [
    ["answered", `${m.verdict.status} to ${m.endpoint || "(nobody)"}`],
    ["received", `${m.received} (message ${m.id})`],
    ["alert", m.alertname], ["severity", m.severity], ["team", m.team], ["service", m.service],
    ["environment", m.environment], ["starts at", m.starts_at], ["drill", m.drill_id],
    ["dedup key", m.dedup_key], ["runbook", link], ["summary", m.summary === mail.subject ? "" : m.summary],
    ["from", mail.from || mail.mail_from], ["to", mail.to || (mail.rcpt_to || []).join(", ")],
    ["subject", mail.subject], ["dated", mail.date],
    ["attachments", kept.whole && kept.whole.mail && kept.whole.mail.attachments ? kept.whole.mail.attachments.join("\n") : ""],
  ].filter(([, value]) => value);
  box.append(el("dl", { class: "facts" }, facts.flatMap(([term, value]) => [el("dt", {}, term), el("dd", {}, value)])));
  if (incident && incident.notices.length > 1) {
    box.append(el("ol", { class: "history" }, incident.notices.map((notice) => el("li", {},
      el("b", {}, clock(notice.received)), " ",
      closes(notice) ? "resolved" : notice.kind === "acknowledge" ? "acknowledged" : notice.id === notice.incident ? "opened" : "repeated",
      notice.id === m.id ? " (this one)" : ""))));
  }
  if (!kept.whole) {
    box.append(el("p", {}, kept.failed || "loading what was sent…"));
    return box;
  }
  box.append(content(m, kept));
  return box;
}

function content(m, kept) {
  const whole = kept.whole;
  const mail = whole.mail || {};
  const raw = whole.raw === undefined || whole.raw === null ? "" : typeof whole.raw === "string" ? whole.raw : JSON.stringify(whole.raw, null, 2);
  const views = [];
  if (mail.html) views.push(["html", "as mail", () => el("iframe", { sandbox: "", title: "HTML part of the e-mail", src: `api/messages/${m.id}/html` })]);
  if (mail.text) views.push(["text", "text", () => el("pre", {}, mail.text)]);
  if (raw) views.push(["raw", "as sent", () => el("pre", { tabindex: "0" }, raw + (whole.truncated ? "\n… (cut)" : ""))]);
  if (!views.length) return el("p", {}, "the body was not kept");
  const tab = views.find(([id]) => id === kept.tab) || views[0];
  const box = el("div", {});
  if (views.length > 1) {
    box.append(el("div", { class: "tabs" }, views.map(([id, label]) => el("button", {
      type: "button", "aria-pressed": String(id === tab[0]),
      onclick: () => { kept.tab = id; redraw(m.id); },
    }, label))));
  }
  box.append(tab[2]());
  return box;
}

async function toggle(id) {
  if (expanded.delete(id)) return redraw(id);
  const kept = {};
  expanded.set(id, kept);
  redraw(id);
  try {
    kept.whole = await ask(`api/messages/${id}`);
  } catch (error) {
    kept.failed = `could not be loaded: ${error.message}`;
  }
  redraw(id);
}

function wanted(m, found) {
  if (channel && m.channel !== channel) return false;
  if (state === "refused" && accepted(m)) return false;
  if (state === "open") {
    const incident = found.get(m.incident);
    if (!opens(m) || m.incident !== m.id || (incident && incident.closed)) return false;
  }
  if (!words) return true;
  const text = [m.alertname, m.summary, m.team, m.service, m.severity, m.environment, m.drill_id, m.dedup_key,
    m.endpoint, m.channel, m.kind, m.status, m.mail && m.mail.subject, ...(m.verdict.reasons || [])];
  const line = text.filter(Boolean).join(" ").toLowerCase();
  return words.split(/\s+/).every((word) => line.includes(word));
}

function redraw(id) {
  const item = document.querySelector(`li[data-id="${id}"]`);
  const m = messages.get(id);
  if (!item || !m) return;
  const focused = item.contains(document.activeElement);
  const fresh = row(m, incidents(), false);
  item.replaceWith(fresh);
  if (focused) fresh.querySelector("button").focus({ preventScroll: true });
}

function draw(freshIds) {
  const found = incidents();
  const shown = [...messages.values()].filter((m) => wanted(m, found)).reverse();
  // What is being read stays: rows are replaced only where they are not open.
  const old = new Map([...$("list").children].map((item) => [Number(item.dataset.id), item]));
  const items = shown.map((m) => {
    const before = old.get(m.id);
    return before && expanded.has(m.id) ? before : row(m, found, freshIds && freshIds.has(m.id));
  });
  const focused = document.activeElement && document.activeElement.closest ? document.activeElement.closest("li") : null;
  $("list").replaceChildren(...items);
  if (focused) {
    const again = document.querySelector(`li[data-id="${focused.dataset.id}"] button`);
    if (again && document.activeElement !== again) again.focus({ preventScroll: true });
  }
  tiles(found);
  empty(shown.length);
  $("older").hidden = !more;
}

function tiles(found) {
  let open = 0;
  let resolved = 0;
  let refused = 0;
  for (const m of messages.values()) {
    if (!accepted(m)) refused += 1;
    else if (closes(m)) resolved += 1;
    else if (opens(m) && m.incident === m.id && !(found.get(m.id) || {}).closed) open += 1;
  }
  const set = (id, count, look) => {
    $(id).querySelector("b").textContent = count + (more ? "+" : "");
    $(id).className = `tile${count ? ` ${look}` : ""}`;
  };
  set("tile-open", open, "alarm");
  set("tile-resolved", resolved, "");
  set("tile-refused", refused, "notice");
  document.title = open ? `(${open}) KAI inbox` : "KAI inbox";
}

function empty(count) {
  $("empty").hidden = count > 0;
  if (count > 0) return;
  const filtered = messages.size > 0;
  $("empty-title").textContent = filtered ? "No message matches" : "Nothing has arrived yet";
  if (filtered) {
    $("empty-text").replaceChildren(el("p", {}, `${messages.size} messages are here; the filter above shows none of them.`));
    return;
  }
  const base = location.origin;
  $("empty-text").replaceChildren(
    el("p", {}, "Alertmanager sends here what would go to PagerDuty, Slack and the mail relay. A quiet stack sends nothing. To see the whole way of an alert:"),
    el("pre", {}, "kai-observe drill --severity all"),
    el("p", {}, "Or send something yourself:"),
    el("pre", {}, `curl -H 'content-type: application/json' -d '{"text":"hello"}' ${base}/services/T0000LOCAL/BTEST/token`),
    about.smtp ? el("p", {}, `E-mail is taken at ${about.smtp}.`) : null);
}

function drawBeats() {
  const tile = $("beats");
  if (!beats.heartbeats.length) return;
  tile.replaceChildren(...beats.heartbeats.slice(0, 6).map((beat) => {
    const age = beat.last_seen ? now() - new Date(beat.last_seen) : null;
    // Three intervals without a beat: the switch would have acted.
    const late = age === null || beat.status === "resolved" || (beat.interval_ms && age > 3 * beat.interval_ms + 10000);
    const seen = age === null ? "never" : `${span(age)} ago`;
    const every = beat.interval_ms ? `, every ${span(beat.interval_ms)}` : "";
    return el("div", { class: late ? "late" : null },
      el("b", {}, beat.name), el("span", {}, `last beat ${seen}${every}, ${beat.count} in all${late ? " — late" : ""}`));
  }));
}

async function ask(path) {
  const response = await fetch(path, { headers: { accept: "application/json" } });
  if (!response.ok) {
    const body = await response.json().catch(() => ({}));
    throw new Error(body.error || `HTTP ${response.status}`);
  }
  return response.json();
}

function take(list) {
  for (const m of list) messages.set(m.id, m);
}

function trim() {
  while (messages.size > KEEP) {
    messages.delete(messages.keys().next().value);
    more = true;
  }
}

function live(on, text) {
  $("live").className = `live ${on ? "on" : "off"}`;
  $("live").textContent = text;
}

const pause = (ms) => new Promise((done) => setTimeout(done, ms));

async function follow() {
  for (;;) {
    try {
      const answer = await ask(`api/messages?after=${lastId}&limit=${PAGE}&wait=25`);
      if (answer.last_id < lastId) return location.reload(); // another store
      live(true, "live");
      lastId = answer.last_id;
      if (answer.messages.length) {
        take(answer.messages);
        trim();
        draw(new Set(answer.messages.map((m) => m.id)));
      }
    } catch (error) {
      live(false, "the inbox does not answer; trying again");
      await pause(2000);
    }
  }
}

async function refreshBeats() {
  try {
    const answer = await ask("api/heartbeats");
    beats = { heartbeats: answer.heartbeats, skew: new Date(answer.now) - Date.now() };
  } catch (error) { /* the live mark says it */ }
  drawBeats();
}

function tick() {
  for (const small of document.querySelectorAll("[data-since]")) {
    small.textContent = `for ${span(now() - new Date(small.dataset.since))}`;
  }
  drawBeats();
}

function choose(group, key, set) {
  $(group).addEventListener("click", (event) => {
    const button = event.target.closest("button");
    if (!button) return;
    set(button.dataset[key]);
    for (const other of $(group).children) other.setAttribute("aria-pressed", String(other === button));
    draw();
  });
}

async function start() {
  choose("channels", "channel", (value) => { channel = value; });
  choose("states", "state", (value) => { state = value; });
  $("search").addEventListener("input", (event) => { words = event.target.value.trim().toLowerCase(); draw(); });
  $("older").addEventListener("click", async () => {
    const first = messages.keys().next().value;
    const answer = await ask(`api/messages?limit=${PAGE}&before=${first}`);
    const newer = [...messages.values()];
    messages.clear();
    take(answer.messages);
    take(newer);
    more = answer.more;
    draw();
  });
  for (;;) {
    try {
      about = await ask("api/about");
      const answer = await ask(`api/messages?limit=${PAGE}`);
      lastId = answer.last_id;
      more = answer.more;
      take(answer.messages);
      break;
    } catch (error) {
      live(false, `the inbox does not answer: ${error.message}`);
      await pause(2000);
    }
  }
  for (const [label, url] of [["Alertmanager", about.alertmanager], ["Prometheus", about.prometheus]]) {
    if (url && /^https?:\/\//.test(url)) $("links").append(el("a", { href: url, rel: "noreferrer" }, label));
  }
  live(true, "live");
  draw();
  await refreshBeats();
  setInterval(tick, 1000);
  setInterval(refreshBeats, 5000);
  follow();
}

start();
