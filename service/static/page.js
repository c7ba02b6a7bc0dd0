// Keep the page up to date while it is visible: poll the count (without counting), health and metrics.
// The next poll waits for the response, so a slow service gets fewer; a hidden page polls nothing.
"use strict";

const POLL_PAUSE = 1000; // milliseconds between a response and the next poll
const TIMEOUT = 4000;
const SPOKEN_EVERY = 15000; // the shortest time between two announcements to a screen reader
const UNKNOWN = "Unknown";
const { read, health, metrics } = document.body.dataset;

const element = (id) => document.getElementById(id);
const say = (where, text) => {
  // A screen reader reads any text that is set, even the same again.
  if (where.textContent !== text) where.textContent = text;
};

async function ask(address, method = "GET") {
  const response = await fetch(address, {
    method,
    headers: { Accept: "application/json" },
    cache: "no-store",
    signal: AbortSignal.timeout(TIMEOUT),
  });
  return { status: response.status, how: response.headers.get("Cache-Status") || "", text: await response.text() };
}

// The count

let spoken = { text: document.title, at: performance.now() };

// With a `trouble` the count may be outdated; UNKNOWN means that no response has had one yet.
function showCount(count, trouble) {
  const old = trouble !== "";
  const unknown = count === UNKNOWN;
  const unit = unknown ? "number of visits" : (count === "1" ? "visit" : "visits") + (old ? ", last known" : "");
  say(element("count"), count);
  say(element("unit"), unit);
  element("headline").classList.toggle("old", old && !unknown);
  element("headline").classList.toggle("unknown", unknown);
  say(element("trouble"), trouble);
  document.title = `${count} ${unit}`;
  speak(document.title);
}

function speak(text) {
  const now = performance.now();
  if (text === spoken.text || now - spoken.at < SPOKEN_EVERY) return;
  say(element("spoken"), text);
  spoken = { text, at: now };
}

// The path: that of this page's own visit, until a poll finds trouble

let ownVisit = true;
// Why a visit was refused, until a poll finds that visits are counted again.
let refused = element("trouble").textContent;

const USED = ["used", "hit"];
const IDLE = ["idle", ""];
const NO_ANSWER = ["failed", "no answer"];

// `how` is the Cache-Status of the response.
function pathOfRead(answer, how) {
  if (answer.stale) return [USED, NO_ANSWER, "Redis had a copy of the count; PostgreSQL did not answer."];
  if (answer.source === "cache") return [USED, IDLE, "Redis had the count; PostgreSQL was not asked."];
  const read = ["used", "read"];
  if (how.includes("breaker-open")) {
    return [["failed", "not asked"], read, "Redis just failed and was not asked; PostgreSQL gave the count."];
  }
  if (how.includes("error")) return [NO_ANSWER, read, "Redis did not answer; PostgreSQL gave the count."];
  if (how.includes("stale")) return [["asked", "old"], read, "Redis had an old count; PostgreSQL gave it."];
  return [["asked", "miss"], read, "Redis did not have the count; PostgreSQL gave it."];
}

function isCalm(answer, how) {
  return !answer.stale && !how.includes("error") && !how.includes("breaker-open");
}

function showPath(source, app, [cache, database, text]) {
  element("path").dataset.source = source;
  element("leg-app").dataset.state = app;
  for (const [name, [state, word]] of [["cache", cache], ["database", database]]) {
    element(`leg-${name}`).dataset.state = state;
    say(element(`leg-${name}`).querySelector(".word"), word);
  }
  say(element("path-text"), text);
}

// Replace the path of the visit by that of a poll, and remove the line about the visit.
function showLook(source, app, [cache, database, text]) {
  ownVisit = false;
  say(element("said"), "");
  showPath(source, app, [cache, database, `The latest read: ${text}`]);
}

async function lookAtCount() {
  const { status, how, text } = await ask(read);
  const answer = JSON.parse(text);
  if (status !== 200) {
    showLook("none", "passed", [IDLE, NO_ANSWER, "PostgreSQL did not answer; Redis could not tell the count."]);
    showCount(element("count").textContent, `${answer.title}. ${answer.detail}`);
    return;
  }
  if (!ownVisit || !isCalm(answer, how)) showLook(answer.source, "passed", pathOfRead(answer, how));
  if (!answer.stale) refused = "";
  const behind = "PostgreSQL cannot be reached: visits are refused, and the number may be behind.";
  showCount(answer.visits.toLocaleString("en"), answer.stale ? refused || behind : "");
}

// A visit: the button counts one and shows its path. It is never retried: it may have been counted.

async function visit(event) {
  event.preventDefault();
  const button = event.currentTarget.querySelector("button");
  button.disabled = true;
  try {
    const { status, how, text } = await ask(read, "POST");
    const answer = JSON.parse(text);
    if (status === 200) {
      const [cache, , came] = pathOfRead(answer, how);
      ownVisit = true;
      const first = answer.source === "cache" ? "Redis had the count" : came.replace(/\.$/, "");
      const committed = [cache, ["used", "commit"], `${first}. The visit was committed in PostgreSQL.`];
      showPath(answer.source, "passed", committed);
      showCount(answer.visits.toLocaleString("en"), "");
      say(element("said"), `Yours is number ${element("count").textContent}, committed in PostgreSQL.`);
    } else {
      const known = answer.last_known === undefined ? element("count").textContent : answer.last_known.toLocaleString("en");
      refused = `${answer.title}. ${answer.detail}`;
      showLook("none", "passed", [IDLE, NO_ANSWER, "PostgreSQL did not answer; nothing more is known."]);
      showCount(known, refused);
    }
  } catch (error) {
    say(element("trouble"), "The app did not answer: the visit may or may not have been counted.");
  }
  button.disabled = false;
  button.focus();
}

element("visit").addEventListener("submit", visit);

// The parts

function showPart(name, status, text) {
  element(`part-${name}`).dataset.status = status;
  say(element(`part-${name}`).querySelector(".status"), text);
}

async function lookAtHealth() {
  const { text } = await ask(health);
  const { checks } = JSON.parse(text);
  const counts = checks.database.status === "pass";
  showPart("app", counts ? "pass" : "warn", counts ? "works" : "answers, counts nothing");
  showPart("cache", checks.cache.status, checks.cache.output || "works");
  showPart("database", checks.database.status, checks.database.output || "works");
}

// The plots: what all clients of the service did between two polls

const SPAN = 300; // seconds
const SHORTEST = 60; // the first minute has the full width and starts at the right edge
const GAP = 10; // a longer time without a point, in seconds, breaks the line
const plots = {
  rate: { points: [], top: 10, format: (value) => `${value.toFixed(value < 10 ? 1 : 0)}/s` },
  hits: { points: [], top: 100, format: (value) => `${value.toFixed(0)} %` },
  latency: { points: [], top: 10, format: (value) => `${value.toFixed(1)} ms` },
};
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
  // After a restart the metrics start from zero again.
  if (before && now.requests >= before.requests && now.lookups >= before.lookups) {
    const requests = now.requests - before.requests;
    const lookups = now.lookups - before.lookups;
    add("rate", now.time, requests / (now.time - before.time));
    if (lookups) add("hits", now.time, (100 * (now.hits - before.hits)) / lookups);
    if (requests) add("latency", now.time, (1000 * (now.seconds - before.seconds)) / requests);
    Object.keys(plots).forEach((name) => draw(name, now.time));
    element("plots").hidden = false;
  }
  before = now;
}

function add(name, time, value) {
  const { points } = plots[name];
  points.push({ time, value });
  while (points[0].time < time - SPAN) points.shift();
}

// Keep the top of a scale stable: 10, 20, 50, 100, 200, …
function roundUp(value) {
  const power = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 5, 10].map((each) => each * power).find((each) => each >= value);
}

function draw(name, now) {
  const { points, top, format } = plots[name];
  if (!points.length) return;
  const most = Math.max(...points.map(({ value }) => value));
  const scale = most > top ? roundUp(most) : top;
  const since = Math.min(SPAN, Math.max(now - points[0].time, SHORTEST));
  const x = (time) => (300 - (300 * (now - time)) / since).toFixed(1);
  const y = (value) => (78 - (74 * value) / scale).toFixed(1);
  const runs = [];
  points.forEach((point, index) => {
    if (!index || point.time - points[index - 1].time > GAP) runs.push([]);
    runs.at(-1).push(point);
  });
  const lines = runs.map((run) => run.map(({ time, value }) => `${x(time)} ${y(value)}`).join("L"));
  const areas = runs.map((run, index) => `M${x(run[0].time)} 80L${lines[index]}L${x(run.at(-1).time)} 80Z`);
  const figure = element(name);
  figure.querySelector(".line").setAttribute("d", lines.map((line) => `M${line}`).join(""));
  figure.querySelector(".area").setAttribute("d", areas.join(""));
  const last = format(points.at(-1).value);
  const title = figure.querySelector(".title").textContent;
  const ago = since < 90 ? `${since.toFixed(0)} s` : `${(since / 60).toFixed(0)} min`;
  const unit = format(scale).replace(/^[\d.]+/, "");
  figure.querySelector("svg").setAttribute("aria-label", `${title}: now ${last}, peak ${format(most)} in the last ${ago}`);
  say(figure.querySelector(".now"), last);
  say(figure.querySelector(".since"), `${ago} ago`);
  say(figure.querySelector(".top"), `${scale}${unit}`);
}

function showNothingNow() {
  before = null;
  for (const name of Object.keys(plots)) {
    draw(name, performance.now() / 1000);
    say(element(name).querySelector(".now"), "–");
  }
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
    showPart("cache", "unknown", "unknown from here");
    showPart("database", "unknown", "unknown from here");
    showLook("lost", "failed", [IDLE, IDLE, "the app did not answer."]);
    const trouble = "The app does not answer: this is the last number it gave. The page resumes by itself.";
    showCount(element("count").textContent, trouble);
    showNothingNow();
  }
}

let waiting = null;
let looking = false;

async function follow() {
  if (looking || document.hidden) return;
  looking = true;
  await look();
  looking = false;
  if (!document.hidden) waiting = setTimeout(follow, POLL_PAUSE);
}

document.addEventListener("visibilitychange", () => {
  clearTimeout(waiting);
  follow();
});
waiting = setTimeout(follow, POLL_PAUSE);
