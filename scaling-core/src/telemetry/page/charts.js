// The two charts of a workload and what is read from them at a moment.
const RANGES = [["1", "1 h"], ["6", "6 h"], ["24", "24 h"]];

// Slots further apart than usual are a gap: nothing was seen between them.
function prepared(series) {
  const apart = series.at.slice(1).map((at, nth) => at - series.at[nth]).sort((a, b) => a - b);
  const usual = apart.length ? apart[Math.floor(apart.length / 2)] : series.slot_s;
  return { ...series, gap: Math.max(2.5 * usual, 2 * series.slot_s) };
}

class Charts {
  constructor(host) {
    this.host = host;
    this.hours = 24;
    this.moment = null;
    const choice = ([hours, label]) => h("label", {}, h("input", { type: "radio", name: "hours", value: hours, checked: hours === "24" }), label);
    this.ranges = h("fieldset", { class: "ranges" }, h("legend", {}, "Time shown"), RANGES.map(choice));
    this.ranges.addEventListener("change", (event) => { this.hours = Number(event.target.value); this.draw(); });
    this.readout = h("p", { class: "readout" });
    this.load = h("div", { class: "chart", "data-chart": "load" });
    this.pods = h("div", { class: "chart", "data-chart": "pods" });
    this.loadLegend = h("div", {});
    this.podsLegend = h("div", {});
    this.notes = h("p", { class: "soft" });
    // One moment is read from both charts: by pointer, or by arrow keys like any slider.
    this.slider = h("div", { class: "charts", tabindex: "0", role: "slider", "aria-label": "Moment read from the charts", "aria-valuemin": "0" },
      h("figure", {}, h("h3", {}, "Load"), this.load, this.loadLegend),
      h("figure", {}, h("h3", {}, "Pods"), this.pods, this.podsLegend, this.notes));
    host.replaceChildren(h("div", { class: "tools" }, this.ranges), this.readout, this.slider);
    this.slider.addEventListener("keydown", (event) => this.key(event));
    for (const chart of [this.load, this.pods]) {
      chart.addEventListener("pointermove", (event) => this.under(event));
      chart.addEventListener("pointerleave", () => { if (document.activeElement !== this.slider) this.read(null); });
    }
    this.slider.addEventListener("blur", () => this.read(null));
    let width = 0;
    new ResizeObserver(() => { if (this.view && host.clientWidth !== width) { width = host.clientWidth; this.draw(); } }).observe(host);
  }

  take(view) {
    this.view = view;
    this.series = prepared(view.series);
    this.draw();
  }

  draw() {
    const { series: whole, view } = this;
    const ahead = view.forecast ? view.forecast.ahead_s : 0;
    const last = Date.parse(view.at) / 1000;
    const first = Math.max(last - this.hours * HOUR, Math.min(whole.at[0] ?? last, last - 300));
    const shown = whole.at.map((at) => at >= first - whole.slot_s && at <= last);
    const cut = Object.entries(whole).map(([name, column]) => [name, Array.isArray(column) ? column.filter((_, nth) => shown[nth]) : column]);
    this.shown = Object.fromEntries(cut);
    const range = [first, last + whole.slot_s + ahead];
    this.range = range;
    this.drawLoad(range, ahead);
    this.drawPods(range);
    this.slider.setAttribute("aria-valuemax", Math.max(0, this.shown.at.length - 1));
    this.read(this.moment !== null && this.shown.at.includes(this.moment) ? this.moment : null);
  }

  drawLoad(range, ahead) {
    const { shown, view } = this;
    const chart = new Chart(this.load, 210, unitOf(view), range, highest(shown.peak, shown.expected) * 1.06);
    const forecasts = shown.expected.some((value) => value !== null);
    chart.spells("failed", shown, shown.failed);
    if (forecasts) {
      // Between the load of a moment and what was forecast for it.
      this.forMoment = this.forecastFor(shown, ahead);
      chart.area("band", shown, shown.load.map((load, nth) => load === null ? null : Math.min(load, this.forMoment[nth] ?? load)), this.forMoment);
      chart.line("forecast", shown, shown.expected, ahead);
    } else this.forMoment = shown.at.map(() => null);
    chart.area("peaks", shown, shown.load, shown.peak);
    chart.line("load", shown, shown.load);
    const above = shown.load.map((load, nth) => load !== null && this.forMoment[nth] !== null && load > this.forMoment[nth]);
    chart.path("above", shown.at.map((at, nth) => above[nth] ? `M${chart.x(at) - 3} ${chart.y(shown.load[nth]) - 7}h6l-3 5z` : "").join(""));
    chart.axis();
    chart.show(`Load in ${unitOf(view)} over time, now ${number(view.load)}${forecasts ? `, up to ${number(view.expected)} expected` : ""}`);
    this.loadChart = chart;
    const share = view.forecast ? `stays below with ${percent(view.forecast.quantile)}` : "";
    this.loadLegend.replaceChildren(legend([["load", "load"],
      ...(forecasts ? [["forecast", `forecast, ${share || "upper quantile"}`], ["band", "room between them"]] : []),
      ...(above.includes(true) ? [["above", "load above its forecast"]] : []), ...(shown.failed.includes(true) ? [["failed", "a step failed"]] : [])]));
  }

  // The newest forecast that was made for the moment of each slot.
  forecastFor(shown, ahead) {
    return shown.at.map((at) => {
      let nearest = null;
      shown.at.forEach((made, nth) => {
        if (shown.expected[nth] !== null && Math.abs(made + ahead - at) <= shown.gap / 2
          && (nearest === null || Math.abs(made + ahead - at) < Math.abs(shown.at[nearest] + ahead - at))) nearest = nth;
      });
      return nearest === null ? null : shown.expected[nearest];
    });
  }

  drawPods(range) {
    const { shown, view } = this;
    const inside = highest(shown.pods, shown.wanted, shown.floor, shown.min, shown.resting_min);
    const most = highest(shown.max, shown.resting_max);
    // A max far above all that runs would press the rest together.
    const top = Math.min(most, Math.max(inside * 2.5, inside + 5));
    const chart = new Chart(this.pods, 240, "pods", range, Math.max(top, inside) * 1.08);
    chart.spells("failed", shown, shown.failed);
    chart.area("range", shown, shown.min, shown.max, true);
    chart.steps("bound", shown, shown.min);
    chart.steps("bound", shown, shown.max);
    const moved = shown.resting_min.some((value, nth) => value !== shown.min[nth]) || shown.resting_max.some((value, nth) => value !== shown.max[nth]);
    if (moved) {
      chart.steps("resting", shown, shown.resting_min);
      chart.steps("resting", shown, shown.resting_max);
    }
    chart.steps("floor", shown, shown.floor);
    chart.steps("want", shown, shown.wanted);
    chart.steps("run", shown, shown.pods);
    chart.axis();
    chart.show(`Pods over time, now ${number(view.pods)}${view.bounds ? ` within ${view.bounds.min} and ${view.bounds.max}` : ""}`);
    this.podsChart = chart;
    this.podsLegend.replaceChildren(legend([["run", "pods ready"], ["want", "pods wanted"], ["range", "bounds of the HPA"],
      ...(moved ? [["resting", "bounds as its owner set them"]] : []), ...(highest(shown.floor) ? [["floor", "floor"]] : [])]));
    this.notes.textContent = most > top ? `The max of ${number(most)} is above the chart.` : "";
  }

  under(event) {
    const chart = this.loadChart;
    const share = (event.clientX - chart.node.getBoundingClientRect().left - chart.left) / (chart.right - chart.left);
    const at = chart.from + share * (chart.to - chart.from);
    const { shown } = this;
    const nearest = shown.at.reduce((best, one) => best === null || Math.abs(one + shown.slot_s / 2 - at) < Math.abs(best + shown.slot_s / 2 - at) ? one : best, null);
    this.read(nearest);
  }

  key(event) {
    const { at } = this.shown;
    const place = this.moment === null ? at.length - 1 : at.indexOf(this.moment);
    const to = { ArrowLeft: place - (this.moment !== null), ArrowDown: place - 1, ArrowRight: place + 1, ArrowUp: place + 1, PageUp: place + 10, PageDown: place - 10, Home: 0, End: at.length - 1 }[event.key];
    if (event.key === "Escape") { this.read(null); return; }
    if (to === undefined || at.length === 0) return;
    event.preventDefault();
    this.read(at[Math.min(at.length - 1, Math.max(0, to))]);
  }

  read(at) {
    this.moment = at;
    for (const chart of [this.loadChart, this.podsChart]) chart.point(at === null ? null : at + this.shown.slot_s / 2);
    const nth = at === null ? -1 : this.shown.at.indexOf(at);
    const parts = nth < 0 ? ["Point at a chart, or focus it and use the arrow keys, to read a moment."] : this.telling(nth);
    this.readout.replaceChildren(...parts.map((part) => h("span", {}, part)));
    this.slider.setAttribute("aria-valuenow", Math.max(0, nth));
    this.slider.setAttribute("aria-valuetext", parts.map((part) => part.textContent ?? part).join(", "));
  }

  telling(nth) {
    const { shown, view } = this;
    const has = (value) => value !== null;
    const bounds = has(shown.min[nth]) && `bounds ${shown.min[nth]}–${shown.max[nth]}${shown.resting_min[nth] !== shown.min[nth] || shown.resting_max[nth] !== shown.max[nth] ? `, as set by the owner ${shown.resting_min[nth]}–${shown.resting_max[nth]}` : ""}`;
    return [h("b", {}, both(new Date(shown.at[nth] * 1000), new Date(view.at))), has(shown.load[nth]) ? `load ${number(shown.load[nth])} ${unitOf(view)}` : "load not known",
      has(this.forMoment[nth]) && `forecast ${number(this.forMoment[nth])}`, has(shown.pods[nth]) ? `${number(shown.pods[nth])} pods` : "pods not known",
      has(shown.wanted[nth]) && `${number(shown.wanted[nth])} wanted`, bounds, has(shown.floor[nth]) && `floor ${number(shown.floor[nth])}`, shown.failed[nth] && "a step failed"].filter(Boolean);
  }
}
