// Which view, and what is asked of the server when.
const EVERY_MS = 5000;
const SLOWEST_MS = 60000;
const SAVINGS_MS = 300000;

const list = new List();
const one = new One(byId("one"));
const kept = byId("snapshot") ? JSON.parse(byId("snapshot").textContent) : null;
// The body of an answer is kept with its tag: an answer that has not changed is not sent again.
const answers = new Map();
let route = null, failures = 0, timer = null, savings = {};

class Refused extends Error {}

async function ask(path) {
  if (kept) {
    if (path in kept.answers) return { body: kept.answers[path], now: new Date(kept.taken) };
    throw new Refused("it is not in this snapshot");
  }
  const before = answers.get(path);
  const response = await fetch(path, { headers: before ? { "If-None-Match": before.tag } : {}, cache: "no-store" });
  const now = new Date(response.headers.get("date") || Date.now());
  if (response.status === 304) return { body: before.body, now };
  const body = await response.json();
  if (!response.ok) throw new Refused(body.error || `the answer is ${response.status}`);
  answers.clear();
  answers.set(path, { tag: response.headers.get("etag"), body });
  return { body, now };
}

function where() {
  const [, path] = location.hash.match(/^#\/(.+)$/) || [];
  return path ? { path, api: "api/targets/" + path } : { path: null, api: "api/targets" };
}

async function refresh() {
  clearTimeout(timer);
  const asked = route;
  let wait = EVERY_MS;
  try {
    const { body, now } = await ask(asked.api);
    if (asked !== route) return;
    failures = 0;
    said(null);
    if (asked.path) { one.take(body, now); state(body.at, now); save(asked); }
    else { list.take(body); state(body.as_of, now, body); }
    document.body.dataset.shown = asked.path || "list";
  } catch (error) {
    if (asked !== route) return;
    failures += 1;
    wait = Math.min(SLOWEST_MS, EVERY_MS * 2 ** Math.min(failures - 1, 6));
    if (error instanceof Refused && asked.path) { one.lacks(asked.path, error.message); said(null); }
    else said(`There is no answer (${error.message}). What is shown is what was known before; asked again in ${span(wait / 1000)}.`);
  }
  if (!kept) timer = setTimeout(refresh, wait);
}

// The comparison with the HPA alone is worked out when asked for, which takes a moment.
async function save(asked) {
  if (savings.path === asked.path && Date.now() - savings.asked < (savings.body && !savings.body.busy ? SAVINGS_MS : EVERY_MS)) return;
  savings = { path: asked.path, asked: Date.now() };
  const [path, search] = asked.api.split("?");
  try {
    if (kept) savings.body = kept.answers[`${path}/savings${search ? "?" + search : ""}`];
    else savings.body = await (await fetch(`${path}/savings${search ? "?" + search : ""}`)).json();
    if (asked === route && savings.body) one.saved(savings.body);
  } catch { savings.asked = 0; }
}

function said(trouble) {
  const place = byId("trouble");
  place.hidden = !trouble;
  if (place.textContent !== (trouble || "")) place.textContent = trouble || "";
}

function state(at, now, overview) {
  const parts = [];
  if (kept) parts.push("snapshot of ", time(now), " · ");
  if (at) {
    const newest = new Date(at);
    const age = (now - newest) / 1000;
    parts.push("last tick ", time(newest, now));
    if (age > 90) parts.push(h("b", { class: "late" }, `, ${span(age)} ago`));
  } else parts.push("no tick yet");
  if (overview && overview.unlisted) parts.push(` · ${plural(overview.unlisted, "tick", "ticks")} of workloads that the board has no room for`);
  const place = byId("state");
  const fresh = h("span", {}, ...parts);
  // Said again only where it differs, for those who have it read out.
  if (place.textContent !== fresh.textContent) place.replaceChildren(...fresh.childNodes);
}

function go() {
  route = where();
  savings = {};
  answers.clear();
  byId("list").hidden = Boolean(route.path);
  byId("one").hidden = !route.path;
  if (route.path) one.clear(); else document.title = "Autoscaling";
  said(null);
  refresh();
}

window.addEventListener("hashchange", () => { go(); byId("main").focus({ preventScroll: true }); window.scrollTo(0, 0); });
document.addEventListener("visibilitychange", () => { if (document.hidden) clearTimeout(timer); else refresh(); });
document.querySelector(".skip").addEventListener("click", (event) => { event.preventDefault(); byId("main").focus(); });
document.addEventListener("keydown", (event) => {
  const typing = /^(INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName);
  if (event.key === "/" && !typing && !byId("list").hidden) { event.preventDefault(); byId("search").focus(); }
});
byId("footer").append(`Times in ${ZONE}${ZONE === "UTC" ? "" : ", with UTC"}. Read-only. `, h("a", { href: "api/targets" }, "The same as JSON"), ".");
go();
