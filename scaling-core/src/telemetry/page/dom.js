// Elements and instants. Text from a cluster becomes text nodes and nothing else: no markup is ever made of it.
const SVG = "http://www.w3.org/2000/svg";

function fill(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes || {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  return node;
}
const h = (tag, attributes, ...children) => fill(document.createElement(tag), attributes, children);
const svg = (tag, attributes, ...children) => fill(document.createElementNS(SVG, tag), attributes, children);
const byId = (id) => document.getElementById(id);

const words = (name) => name.replaceAll("_", " ");
const plural = (count, one, many) => `${number(count)} ${count === 1 ? one : many}`;
const percent = (share) => `${number(Math.round(share * 1000) / 10)} %`;
const UNITS = { requests_per_second: "requests/s", pods_filled: "pods filled" };
const unitOf = (row) => UNITS[row.unit] || "";

// Instants in the viewer's zone; UTC stands beside or behind them.
const format = (options) => new Intl.DateTimeFormat("en-GB", { hourCycle: "h23", ...options });
const CLOCK = { hour: "2-digit", minute: "2-digit", second: "2-digit" };
const DATE = { weekday: "short", day: "numeric", month: "short" };
const clockHere = format(CLOCK), dayHere = format(DATE), shortHere = format({ hour: "2-digit", minute: "2-digit" });
const clockUtc = format({ ...CLOCK, timeZone: "UTC" });
const ZONE = clockHere.resolvedOptions().timeZone;
const utc = (date) => date.toISOString().slice(0, 19).replace("T", " ") + " UTC";
const isUtc = (date) => date.getTimezoneOffset() === 0;
// The day is said where it is not that of `beside`.
const here = (date, beside) => (beside && dayHere.format(date) === dayHere.format(beside) ? "" : dayHere.format(date) + ", ") + clockHere.format(date);
const both = (date, beside) => `${here(date, beside)}${isUtc(date) ? " UTC" : ` (${clockUtc.format(date)} UTC)`}`;
const time = (date, beside) => h("time", { datetime: date.toISOString(), title: utc(date) }, both(date, beside));

function span(seconds) {
  const whole = Math.max(0, Math.round(seconds));
  if (whole < 120) return `${whole} s`;
  if (whole < 7200) return `${Math.round(whole / 60)} min`;
  return whole < 172800 ? `${Math.round(whole / 3600)} h` : `${Math.round(whole / 86400)} days`;
}

// A mark for each state: told by shape and word, not by colour alone.
const STATES = {
  failing: ["✕", "failing"], absent: ["◌", "signal absent"], refused: ["⊘", "refused"], changed: ["↕", "changed"], steady: ["✓", "steady"],
};
const stateWord = (row) => row.status === "changed" && row.mode !== "apply" ? { plan: "planned", server_dry_run: "validated" }[row.mode] : STATES[row.status][1];
const badge = (row) => h("span", { class: `badge ${row.status}` }, h("span", { "aria-hidden": "true" }, STATES[row.status][0]), ` ${stateWord(row)}`);
const modeWords = { plan: "dry run: nothing leaves the process", server_dry_run: "server dry run: nothing persists", apply: "changes are applied" };

// One workload's address: what is as usual is left out, so that links are short and each is different.
function query(target) {
  const parts = [["kind", target.kind, "Deployment"], ["hpa", target.hpa, target.name], ["cluster", target.cluster, undefined]];
  const said = parts.filter(([, value, usual]) => value !== undefined && value !== usual);
  return said.length ? "?" + said.map(([name, value]) => `${name}=${encodeURIComponent(value)}`).join("&") : "";
}
const address = (target) => `${encodeURIComponent(target.namespace)}/${encodeURIComponent(target.name)}${query(target)}`;
const fullName = (target) => `${target.cluster ? target.cluster + " / " : ""}${target.namespace} / ${target.name}`;
