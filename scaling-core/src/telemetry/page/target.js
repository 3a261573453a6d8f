// One workload: how it stands, its charts, and why.
const SIGNAL_UNITS = {
  cpu_utilization_percent: ["CPU", "% of request"], memory_utilization_percent: ["memory", "% of request"], request_rate_per_second: ["requests", "/s"],
  response_time_ms: ["response time", "ms"], error_rate_percent: ["errors", "% of requests"], active_connections: ["connections", ""], queue_depth: ["queue", "waiting"],
};
const STEP_WORDS = { observe: "observe: the source of metrics", read: "read the HPA", decide: "decide", apply: "apply" };

class One {
  constructor(host) {
    this.host = host;
    // Decisions whose reasons are looked at, by their first tick: they stay open when the page moves on.
    this.open = new Map();
  }

  clear() {
    this.parts = null;
    this.host.replaceChildren(h("p", { class: "soft" }, "…"));
  }

  lacks(path, why) {
    this.parts = null;
    document.title = "Not found · Autoscaling";
    this.host.replaceChildren(this.back(), h("h2", {}, decodeURIComponent(path.split("?")[0])), h("p", {}, `There is nothing to show: ${why}.`));
  }

  back() { return h("p", {}, h("a", { href: "#/" }, "← all workloads")); }

  build() {
    const section = (title, ...inside) => h("section", {}, h("h3", {}, title), ...inside);
    const parts = { title: h("h2", {}), line: h("p", { class: "verdict" }), notices: h("div", {}), others: h("div", {}), facts: h("dl", { class: "facts" }), charts: h("section", { "aria-label": "Charts" }),
      decisions: h("ol", { class: "decisions" }), guards: h("div", {}), signals: h("div", {}), savings: h("p", { class: "soft" }, "…"), failures: h("div", {}) };
    this.host.replaceChildren(this.back(), parts.title, parts.line, parts.notices, parts.others, parts.facts, parts.charts,
      h("div", { class: "pair" }, section("Last decisions", parts.decisions),
        h("div", {}, section("Against the HPA alone", parts.savings), section("Refused and limited by guards", parts.guards), section("Signals", parts.signals), section("Failures", parts.failures))));
    parts.drawn = new Charts(parts.charts);
    this.parts = parts;
  }

  take(view, now) {
    if (!this.parts) this.build();
    const { target } = view;
    document.title = `${fullName(target)} · Autoscaling`;
    const { parts } = this;
    parts.title.replaceChildren(fullName(target), h("small", {}, ` ${target.kind}, HPA ${target.hpa}`));
    const last = view.decisions[0];
    parts.line.replaceChildren(badge(view), " ", last ? last.words : "");
    parts.notices.replaceChildren(...this.notices(view, now));
    // Only when they are others: what somebody has marked to copy stays marked.
    const others = JSON.stringify([view.others && view.others.owners, view.others && view.others.more, dayHere.format(now)]);
    if (parts.shownOthers !== others) parts.others.replaceChildren(...this.others(view, now));
    parts.shownOthers = others;
    parts.facts.replaceChildren(...this.facts(view, now));
    parts.drawn.take(view);
    const told = JSON.stringify([view.decisions, dayHere.format(now)]);
    if (parts.told !== told) parts.decisions.replaceChildren(...view.decisions.map((entry, nth) => this.decision(entry, now, nth === 0)));
    parts.told = told;
    parts.guards.replaceChildren(this.guards(view, now));
    parts.signals.replaceChildren(this.signals(view, now));
    parts.failures.replaceChildren(view.failures.length ? h("ul", {}, view.failures.map(({ step, ticks }) => h("li", {}, `${STEP_WORDS[step]}: ${plural(ticks, "tick", "ticks")}`)))
      : h("p", { class: "soft" }, "No step has failed."));
  }

  notices(view, now) {
    const notices = [];
    const add = (kind, ...text) => notices.push(h("p", { class: `notice ${kind}` }, ...text));
    const since = (instant) => [instant === view.first ? "since the board began, " : "since ", time(new Date(instant), now)];
    if (view.failure) add("failing", h("b", {}, `Fails to ${STEP_WORDS[view.failure.step]}`), " ", since(view.failure.since), `: ${view.failure.error}. `,
      view.failure.step === "observe" ? "The workload is left alone; floors that are due are still held." : "");
    for (const absent of view.absent_signals) add("absent", h("b", {}, `No ${words(absent.signal)}`), " ", since(absent.since), `: ${absent.words}. Nothing shrinks meanwhile.`);
    if (view.no_forecast) add("absent", h("b", {}, "No forecast"), `: ${view.no_forecast}.`);
    if (view.mode !== "apply") add("dry", h("b", {}, words(view.mode)), ` (${modeWords[view.mode]}).`);
    return notices;
  }

  others(view, now) {
    if (!view.others) return [];
    const { owners, more } = view.others;
    const one = ({ owner, field, since, advice, setting }) => h("li", {}, h("b", {}, owner), " sets ", field, since && [", since ", time(new Date(since), now)], ". ",
      h("span", {}, `To live together: ${advice}.`), setting && h("figure", {}, h("figcaption", {}, setting.place), h("pre", { tabindex: "0" }, setting.text)));
    return [h("section", { class: "notice owned", "aria-label": "Others who set its size" }, h("b", {}, "Somebody else sets its size"), h("ul", {}, owners.map(one)),
      more > 0 && h("p", {}, `And ${plural(more, "other", "others")}.`))];
  }

  facts(view, now) {
    const fact = (name, ...value) => h("div", {}, h("dt", {}, name), h("dd", {}, ...value));
    const range = (bounds) => `${number(bounds.min)}–${number(bounds.max)}`;
    const unknown = h("span", { class: "unknown" }, "not known");
    const { forecast: f, floor_in_force: floor, coverage, decided } = view;
    const facts = [fact("Load", view.load === undefined ? unknown.cloneNode(true) : [number(view.load), h("small", {}, ` ${unitOf(view)}`)])];
    if (f) facts.push(fact("Forecast", `≤ ${number(f.expected)}`, h("small", { class: "below" }, `in ${span(f.ahead_s)}, with ${percent(f.quantile)} certainty`),
      coverage.judged > 0 && h("small", { class: "below" }, `held ${percent(coverage.held / coverage.judged)} of ${number(coverage.judged)} times`)));
    facts.push(fact("Pods", view.pods === undefined ? unknown.cloneNode(true) : number(view.pods), decided && view.wanted !== undefined && h("small", {}, ` ${number(view.wanted)} wanted`)),
      fact("Bounds", view.bounds ? range(view.bounds) : unknown.cloneNode(true),
        view.resting && h("small", { class: "below" }, range(view.resting) === (view.bounds && range(view.bounds)) ? "as the owner set them" : `the owner set ${range(view.resting)}`)));
    facts.push(fact("Floor", floor ? number(floor.replicas) : "none", floor && h("small", { class: "below" }, floor.why),
      floor && h("small", { class: "below" }, floor.until ? ["until ", time(new Date(floor.until), now)] : "no end is known"),
      floor && view.min_without_floor !== undefined && h("small", { class: "below" }, `then min ${number(view.min_without_floor)}`)));
    if (decided) facts.push(fact("Decided by", decided.engine, h("small", { class: "below" }, `${words(decided.action)}, ${decided.urgency} urgency, confidence ${percent(decided.confidence)}`)));
    return facts;
  }

  decision(entry, now, newest) {
    const [from, until] = [new Date(entry.from), new Date(entry.until)];
    const when = entry.ticks === 1 ? time(from, now) : [time(from, now), " to ", time(until, now), `, ${number(entry.ticks)} ticks`];
    const { decided } = entry;
    const asked = decided && h("span", { class: "soft" }, ` ${number(decided.current)} → ${number(decided.wanted)} pods wanted, confidence ${percent(decided.confidence)}${decided.urgency === "normal" ? "" : `, ${decided.urgency}`}.`);
    return h("li", { class: entry.kind }, h("div", { class: "when" }, when), h("div", {}, h("b", {}, entry.words), ".", asked),
      (entry.why || entry.explanation) && this.reasons(entry, newest));
  }

  reasons(entry, newest) {
    const all = entry.why ? entry.why.split("\n") : [];
    const lines = all.filter((line) => line !== "…");
    const more = lines.length < all.length ? ", and more" : "";
    const opened = () => this.open.get(entry.from) ?? newest;
    const toggled = (event) => { if (event.target.open !== opened()) this.open.set(entry.from, event.target.open); };
    return h("details", { open: opened(), ontoggle: toggled }, h("summary", {}, lines.length ? plural(lines.length, "reason", "reasons") + more : "in words"),
      entry.explanation && h("p", { class: "told" }, entry.explanation), lines.length > 0 && h("ul", {}, lines.map((line) => h("li", {}, line))));
  }

  guards(view, now) {
    if (!view.guards.length) return h("p", { class: "soft" }, "No guard has refused or limited anything since ", time(new Date(view.first), now), ".");
    const rows = [...view.guards].sort((a, b) => b.refused - a.refused || b.limited - a.limited);
    const cell = (value, numeric) => h("td", { class: numeric && "number" }, value);
    return h("div", {}, h("table", { class: "small" }, h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "guard"), h("th", { scope: "col", class: "number" }, "refused"), h("th", { scope: "col", class: "number" }, "limited"))),
      h("tbody", {}, rows.map((one) => h("tr", {}, cell(words(one.guard)), cell(number(one.refused), true), cell(number(one.limited), true))))),
      h("p", { class: "soft" }, `Ticks of ${number(view.ticks)} since `, time(new Date(view.first), now), ".",
        view.other_guards > 0 && ` ${number(view.other_guards)} more by other guards.`));
  }

  signals(view, now) {
    if (!view.metrics) return h("p", { class: "soft" }, "Nothing has been measured yet.");
    const stale = view.failing === "observe";
    const rows = Object.entries(SIGNAL_UNITS).map(([field, [name, unit]]) => {
      const value = view.metrics[field];
      const signal = field.replace(/_(percent|ms|per_second)$/, "");
      const absent = view.absent_signals.find((one) => one.signal === signal);
      if (!absent && typeof value !== "number" && !view.declared.includes(signal)) return null;
      const said = absent ? absent.words : typeof value === "number" ? `${number(value)} ${unit}` : "nothing to measure";
      return h("tr", {}, h("th", { scope: "row" }, name), h("td", { class: absent ? "gone" : "" }, absent && "◌ ", said));
    });
    return h("div", {}, h("table", { class: "small" }, h("tbody", {}, rows.filter(Boolean))),
      h("p", { class: "soft" }, stale ? "As last measured, at " : "Measured at ", time(new Date(view.metrics.timestamp), now), "."));
  }

  saved(body) {
    if (!this.parts) return;
    const place = this.parts.savings;
    if (body.none) { place.replaceChildren("There is no figure: ", body.none, "."); return; }
    const { ours, alone, hours } = body;
    const less = alone.pod_hours - ours.pod_hours;
    // Cost never stands without what it bought: fewer pods that let requests wait are no saving.
    const late = percent(ours.violating_share) === percent(alone.violating_share) ? `as many requests too late (${percent(ours.violating_share)})`
      : `${percent(ours.violating_share)} instead of ${percent(alone.violating_share)} of requests too late`;
    place.replaceChildren(h("b", { class: "figure" }, `${number(Math.abs(Math.round(less * 10) / 10))} pod-hours ${less >= 0 ? "less" : "more"}, ${late}`),
      ` in ${number(Math.round(hours * 10) / 10)} h: ${number(ours.pod_hours)} pod-hours as they ran, ${number(alone.pod_hours)} under the HPA alone. `,
      "Both replayed over the load that was seen, in slots of ", span(body.slot_s), "; a pod serves ", number(body.pod_capacity), body.learnt ? ", as the engine learnt." : ".");
  }
}
