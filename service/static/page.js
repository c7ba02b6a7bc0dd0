// Keeps the page true while it is looked at: asks for the count without counting, and for health and metrics.
// It asks again only after an answer, so a slow service is not asked more; and not at all while nobody looks.
"use strict";

const EVERY = 1000; // milliseconds between an answer and the next question
const PATIENCE = 4000;
const KEPT = 150; // points of each plot
const { read, health, metrics } = document.body.dataset;

const element = (id) => document.getElementById(id);
const say = (id, text) => {
  // A screen reader reads what is set anew, also when it is the same.
  if (element(id).textContent !== text) element(id).textContent = text;
};

async function ask(address) {
  const response = await fetch(address, {
    headers: { Accept: "application/json" },
    cache: "no-store",
    signal: AbortSignal.timeout(PATIENCE),
  });
  return { status: response.status, text: await response.text() };
}

function showCount(visits) {
  say("count", String(visits));
  say("unit", visits === 1 ? "visit" : "visits");
  document.title = `${visits} ${visits === 1 ? "visit" : "visits"}`;
}

function showNote(text, bad) {
  say("note", text);
  element("note").className = bad ? "bad" : "";
}

function showPath(source, text) {
  element("path").dataset.source = source;
  element("path").dataset.kind = "read";
  say("path-text", text);
}

function showPart(name, status, text) {
  const part = element(`part-${name}`);
  part.dataset.status = status;
  const told = part.querySelector(".status");
  if (told.textContent !== text) told.textContent = text;
}

async function lookAtCount() {
  const { status, text } = await ask(read);
  const answer = JSON.parse(text);
  if (status !== 200) {
    showPath("none", "Neither PostgreSQL nor Redis could tell the count.");
    showNote(answer.title ? `${answer.title}. ${answer.detail}` : "The count can't be told now.", true);
    return;
  }
  showCount(answer.visits);
  if (answer.stale) {
    showPath("cache", "Redis had a copy; PostgreSQL can't be reached, so visits may be missing in it.");
    showNote("This is the last known count: PostgreSQL can't be reached, and visits are refused.", true);
    return;
  }
  const fromCache = answer.source === "cache";
  showPath(answer.source, fromCache ? "The last look at the count was answered by Redis."
    : "The last look at the count was answered by PostgreSQL: Redis did not have it.");
  showNote("Every visit is committed in PostgreSQL before it is answered.", false);
}

async function lookAtHealth() {
  const { text } = await ask(health);
  const { checks } = JSON.parse(text);
  showPart("app", "pass", "answers");
  showPart("cache", checks.cache.status, checks.cache.output || "works");
  showPart("database", checks.database.status, checks.database.output || "works");
}

// The plots: what all clients of the service caused between two looks.

const plots = { rate: [], hits: [], latency: [] };
let before = null;

function sum(text, name, labels = /./) {
  let total = 0;
  for (const line of text.split("\n")) {
    const found = line.match(/^(\w+)(\{[^}]*\})? (\S+)$/);
    if (found && found[1] === name && labels.test(found[2] || "{}")) total += Number(found[3]);
  }
  return total;
}

async function lookAtMetrics() {
  const { text } = await ask(metrics);
  const counted = /route="\/(visits\/<page>)?"/;
  const now = {
    time: performance.now() / 1000,
    requests: sum(text, "http_request_duration_seconds_count", counted),
    seconds: sum(text, "http_request_duration_seconds_sum", counted),
    lookups: sum(text, "cache_requests_total"),
    hits: sum(text, "cache_requests_total", /result="hit"/),
  };
  if (before && now.requests >= before.requests) {
    const requests = now.requests - before.requests;
    const lookups = now.lookups - before.lookups;
    plot("rate", requests / (now.time - before.time), (value) => `${value.toFixed(value < 10 ? 1 : 0)}/s`, 0);
    if (lookups > 0) plot("hits", (100 * (now.hits - before.hits)) / lookups, (value) => `${value.toFixed(0)} %`, 100);
    if (requests > 0) {
      plot("latency", (1000 * (now.seconds - before.seconds)) / requests, (value) => `${value.toFixed(1)} ms`, 0);
    }
    element("plots").hidden = false;
  }
  before = now;
}

function plot(name, value, format, least) {
  const points = plots[name];
  points.push(value);
  if (points.length > KEPT) points.shift();
  const top = Math.max(least, ...points) * 1.1 || 1;
  const step = 300 / Math.max(points.length - 1, 1);
  const line = points.map((each, index) => `${(index * step).toFixed(1)} ${(78 - (76 * each) / top).toFixed(1)}`);
  const svg = element(name);
  svg.querySelector("path").setAttribute("d", `M${line.join("L")}${points.length === 1 ? "h300" : ""}`);
  const title = svg.previousElementSibling.firstChild.textContent.trim();
  svg.setAttribute("aria-label", `${title} over the last minutes, now ${format(value)}, at most ${format(Math.max(...points))}`);
  say(`${name}-now`, format(value));
}

// The loop

async function look() {
  try {
    await lookAtCount();
    await lookAtHealth();
    await lookAtMetrics();
  } catch (error) {
    if (document.hidden) return;
    showPart("app", "fail", "does not answer");
    showPart("cache", "unknown", "can't be seen from here");
    showPart("database", "unknown", "can't be seen from here");
    showPath("lost", "The app does not answer; the number is what it said last.");
    showNote("The app does not answer. This page goes on by itself when it does.", true);
  }
}

let waiting = null;
let looking = false;

async function follow() {
  if (looking || document.hidden) return;
  looking = true;
  await look();
  looking = false;
  if (!document.hidden) waiting = setTimeout(follow, EVERY);
}

document.addEventListener("visibilitychange", () => {
  clearTimeout(waiting);
  follow();
});
waiting = setTimeout(follow, EVERY);
