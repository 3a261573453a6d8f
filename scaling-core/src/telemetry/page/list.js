// All workloads: search and sort go over all of them, rows are made for those that are looked at and touched only when they change.
const AT_FIRST = 150;
const SEVERITY = Object.keys(STATES);
const text = (value) => String(value).toLowerCase();
const COLUMNS = [
  { key: "name", label: "Workload", of: (row) => fullName(row.target).toLowerCase(), first: 1 },
  { key: "state", label: "State", of: (row) => SEVERITY.indexOf(row.status), first: 1 },
  { key: "load", label: "Load", of: (row) => row.load ?? null, first: -1, numeric: true },
  { key: "pods", label: "Pods", of: (row) => row.pods ?? null, first: -1, numeric: true },
  { key: "wanted", label: "Wanted", of: (row) => row.wanted ?? null, first: -1, numeric: true },
  { key: "floor", label: "Floor", of: (row) => row.floor ?? null, first: -1, numeric: true },
  { key: "refused", label: "Refusals", of: (row) => row.refused, first: -1, numeric: true },
  { key: "last", label: "Last decision", of: (row) => text(row.words || ""), first: 1 },
];

// Pods within their bounds: the bar is what the HPA may do, the dot what runs, the tick what is wanted.
function podsBar(row, highest) {
  const [width, height] = [96, 14];
  if (!row.bounds && row.pods === undefined) return null;
  const x = (pods) => 2 + Math.min(1, pods / highest) * (width - 4);
  const parts = [svg("path", { class: "rail", d: `M2 7H${width - 2}` })];
  if (row.bounds) parts.push(svg("path", { class: "range", d: `M${x(row.bounds.min)} 7H${Math.max(x(row.bounds.min) + 1, x(row.bounds.max))}` }));
  if (row.floor !== undefined) parts.push(svg("path", { class: "floor", d: `M${x(row.floor)} 1V13` }));
  if (row.wanted !== undefined) parts.push(svg("path", { class: "want", d: `M${x(row.wanted)} 2V12` }));
  if (row.pods !== undefined) parts.push(svg("circle", { class: "run", cx: x(row.pods), cy: 7, r: 3.4 }));
  return svg("svg", { class: "bar", width, height, viewBox: `0 0 ${width} ${height}`, "aria-hidden": "true" }, parts);
}

class List {
  constructor() {
    this.rows = new Map();
    this.data = { targets: [] };
    this.by = { key: "state", way: 1 };
    this.body = document.querySelector("#rows tbody");
    this.heads();
    this.most = AT_FIRST;
    const again = () => { this.most = AT_FIRST; this.show(); };
    const more = () => { this.most += AT_FIRST; this.show(); };
    byId("more").addEventListener("click", more);
    // Whoever scrolls need not ask.
    new IntersectionObserver((seen) => { if (seen.some((one) => one.isIntersecting)) more(); }, { rootMargin: "400px" }).observe(byId("more"));
    byId("search").addEventListener("input", again);
    byId("only").addEventListener("change", again);
    byId("only").append(h("option", { value: "" }, "all"), ...SEVERITY.map((state) => h("option", { value: state }, STATES[state][1])),
      h("option", { value: "floor" }, "with a floor"));
    byId("sort").append(...COLUMNS.map(({ key, label }) => h("option", { value: key }, label.toLowerCase())));
    this.mark();
    byId("sort").addEventListener("change", () => this.sort(byId("sort").value));
    document.querySelector("form[role=search]").addEventListener("submit", (event) => event.preventDefault());
  }

  heads() {
    const cells = COLUMNS.map(({ key, label, numeric }) => h("th", { role: "columnheader", scope: "col", "data-key": key, class: numeric && "number" },
      h("button", { type: "button", onclick: () => this.sort(key) }, label, h("span", { class: "way", "aria-hidden": "true" }))));
    document.querySelector("#rows thead tr").replaceChildren(...cells);
  }

  sort(key) {
    const column = COLUMNS.find((one) => one.key === key);
    this.by = this.by.key === key ? { key, way: -this.by.way } : { key, way: column.first };
    this.mark();
    this.show();
  }

  mark() {
    for (const head of document.querySelectorAll("#rows th")) {
      const chosen = head.dataset.key === this.by.key;
      head.setAttribute("aria-sort", !chosen ? "none" : this.by.way > 0 ? "ascending" : "descending");
      head.querySelector(".way").textContent = !chosen ? "" : this.by.way > 0 ? " ▲" : " ▼";
    }
    byId("sort").value = this.by.key;
  }

  take(data) {
    this.data = data;
    const known = new Set();
    for (const row of data.targets) {
      const key = address(row.target);
      const json = JSON.stringify(row);
      known.add(key);
      const before = this.rows.get(key);
      if (before && before.json === json) continue;
      const entry = before || { node: h("tr", { role: "row" }) };
      this.rows.set(key, Object.assign(entry, { key, row, json, drawn: false, searched: this.searched(row) }));
    }
    for (const [key, { node }] of this.rows) {
      if (!known.has(key)) { node.remove(); this.rows.delete(key); }
    }
    this.show();
  }

  searched(row) {
    const { target } = row;
    return text([fullName(target), `${target.namespace}/${target.name}`, target.kind, target.hpa, stateWord(row), row.words || "", (row.absent || []).map(words), (row.owned_by || [])].join(" "));
  }

  draw(entry) {
    const { key, node, row } = entry;
    entry.drawn = true;
    const { target } = row;
    const cell = (kind, label, ...children) => h("td", { role: "cell", class: kind, "data-label": label }, ...children);
    const highest = Math.max(1, row.pods || 0, row.wanted || 0, row.floor || 0, row.bounds ? row.bounds.max : 0);
    const usual = target.kind === "Deployment" && target.hpa === target.name;
    const unknown = h("span", { class: "unknown" }, "not known");
    const focused = node.contains(document.activeElement);
    node.replaceChildren(
      cell("name", "Workload", h("a", { href: "#/" + key }, h("span", { class: "soft" }, `${target.cluster ? target.cluster + "/" : ""}${target.namespace}/`), target.name),
        !usual && h("small", {}, `${target.kind}, HPA ${target.hpa}`)),
      cell("state", "State", badge(row)),
      cell("number load", "Load", row.load === undefined ? unknown.cloneNode(true) : [number(row.load), h("small", {}, ` ${unitOf(row)}`)],
        row.expected !== undefined && h("small", { class: "below" }, `up to ${number(row.expected)} expected`)),
      cell("number pods", "Pods", row.pods === undefined ? unknown.cloneNode(true) : number(row.pods),
        row.bounds && h("small", {}, ` in ${number(row.bounds.min)}–${number(row.bounds.max)}`), podsBar(row, highest)),
      cell("number wanted", "Wanted", row.wanted === undefined ? "–" : number(row.wanted)),
      cell("number floor", "Floor", row.floor === undefined ? "–" : number(row.floor)),
      cell("number refused", "Refusals", number(row.refused)),
      cell("last", "Last decision", (row.absent || []).length > 0 && h("span", { class: "gone" }, `no ${row.absent.map(words).join(", ")}. `),
        (row.owned_by || []).length > 0 && h("span", { class: "gone" }, `size also set by ${row.owned_by.join(", ")}. `), row.words || "–"),
    );
    if (focused) node.querySelector("a").focus();
  }

  show() {
    const wanted = text(byId("search").value).split(/\s+/).filter(Boolean);
    const only = byId("only").value;
    const fits = ({ row, searched }) => wanted.every((word) => searched.includes(word))
      && (!only || (only === "floor" ? row.floor !== undefined : row.status === only));
    const { of } = COLUMNS.find(({ key }) => key === this.by.key);
    const shown = [...this.rows.values()].filter(fits).map((entry) => ({ entry, value: of(entry.row), name: fullName(entry.row.target) }));
    // What is not known comes last, whichever way.
    shown.sort((a, b) => (a.value === null) - (b.value === null)
      || (a.value < b.value ? -1 : a.value > b.value ? 1 : 0) * this.by.way || (a.name < b.name ? -1 : 1));
    const looked = shown.slice(0, this.most);
    for (const { entry } of looked) if (!entry.drawn) this.draw(entry);
    const nodes = looked.map(({ entry }) => entry.node);
    const now = this.body.children;
    if (nodes.length !== now.length || nodes.some((node, place) => now[place] !== node)) {
      const focused = this.body.contains(document.activeElement) ? document.activeElement : null;
      this.body.replaceChildren(...nodes);
      if (focused && focused.isConnected) focused.focus({ preventScroll: true });
    }
    const all = this.rows.size;
    byId("count").textContent = shown.length === all ? plural(all, "workload", "workloads") : `${number(shown.length)} of ${number(all)}`;
    byId("more").hidden = shown.length <= nodes.length;
    byId("more").textContent = `Show more, ${number(shown.length - nodes.length)} are left`;
    const none = byId("none");
    none.hidden = nodes.length > 0;
    none.textContent = all ? "None fits the search." : "No tick has been recorded yet.";
    byId("rows").hidden = nodes.length === 0;
  }
}
