// The page: what is shown of which trace, and what of it is looked at.
const AT_ONCE = 6;

class TraceView {
  constructor(section) {
    this.section = section;
    this.data = JSON.parse(section.querySelector("script[type='application/json']").textContent);
    const { start_s, seconds_per_point: step, load, history, zone, offsets, dated } = this.data;
    this.zone = { name: zone, offsets: dated ? offsets : [], dated };
    this.replay = [start_s, start_s + load.length * step];
    this.all = [start_s - history.length * step, this.replay[1]];
    this.view = this.replay;
    // More lines than these cannot be told apart; the others wait in the legend.
    const { ranking, best } = this.data;
    this.hidden = new Set(ranking.filter((series) => series !== best).slice(AT_ONCE - 1).map(String));
    this.readout = section.querySelector(".readout");
    section.querySelector(".charts").hidden = false;
    this.host = (name) => section.querySelector(`[data-chart="${name}"]`);
    this.swatches();
    this.controls();
    this.draw();
    for (const name of ["overview", "load", "pods", "queue"]) this.follow(this.host(name));
    // The width decides how much a chart can show.
    let width = section.clientWidth;
    window.addEventListener("resize", () => {
      if (section.clientWidth !== width) { width = section.clientWidth; this.draw(); }
    });
  }

  visible(series) { return !this.hidden.has(String(series)); }

  swatches() {
    for (const cell of this.section.querySelectorAll("td[data-series]")) {
      const series = cell.dataset.series;
      cell.insertAdjacentHTML("afterbegin", swatch(series === "oracle" ? series : Number(series)));
    }
    const names = this.data.ranking.map((series) => [series, this.data.candidates[series].name]);
    if (this.data.oracle.some((pods) => pods !== null)) names.unshift(["oracle", "oracle, none"]);
    const legend = this.section.querySelector(".legend");
    legend.innerHTML = names.map(([series, name]) =>
      `<label><input type="checkbox" data-series="${series}"${this.visible(series) ? " checked" : ""}>${swatch(series)}${escapeText(name)}</label>`).join("");
    legend.addEventListener("change", (event) => {
      const { series } = event.target.dataset;
      if (event.target.checked) this.hidden.delete(series); else this.hidden.add(series);
      this.draw();
    });
  }

  controls() {
    const { zone } = this;
    const { load_peak, seconds_per_point: step, start_s } = this.data;
    const days = [];
    // Where a clock is put forward or back, a day has an hour less or more.
    for (let at = midnight(this.replay[0], zone); at < this.replay[1]; at = midnight(at + 1.25 * DAY, zone)) days.push(at);
    const busiest = start_s + load_peak.reduce((best, value, point) => value > load_peak[best] ? point : best, 0) * step;
    const controls = this.section.querySelector(".controls");
    controls.innerHTML = `<button type="button" data-go="back" aria-label="the day before">◀</button>`
      + `<select aria-label="time shown"><option value="replay">the replay</option><option value="all">with its history</option>`
      + days.map((at) => `<option value="${at}">${day(at, zone)}</option>`).join("") + `<option value="own" hidden>a part</option></select>`
      + `<button type="button" data-go="on" aria-label="the day after">▶</button>`
      + `<button type="button" data-go="busiest">busiest day</button>`;
    this.choice = controls.querySelector("select");
    const go = (at) => this.look([Math.max(at, this.all[0]), Math.min(at + DAY, this.all[1])], String(at));
    this.choice.addEventListener("change", () => {
      const { value } = this.choice;
      if (value === "replay") this.look(this.replay, value);
      else if (value === "all") this.look(this.all, value);
      else go(Number(value));
    });
    controls.addEventListener("click", (event) => {
      const { go: way } = event.target.dataset;
      if (!way) return;
      if (way === "busiest") { go(midnight(busiest, zone)); return; }
      const shown = days.indexOf(midnight(this.view[0] + 1, zone));
      const whole = this.view[1] - this.view[0] > DAY;
      const next = whole ? (way === "on" ? 0 : days.length - 1) : shown + (way === "on" ? 1 : -1);
      if (days[next] !== undefined) go(days[next]);
    });
  }

  look(view, choice) {
    this.view = view;
    this.choice.value = choice;
    this.draw();
  }

  draw() {
    const { data, view, zone } = this;
    const { start_s: start, seconds_per_point: step } = data;
    const long = { start: this.all[0], step, mean: data.history.concat(data.load), peak: data.history_peak.concat(data.load_peak) };
    const high = (values) => values.reduce((most, value) => Math.max(most, value || 0), 0);
    const within = (values, from) => values.slice(Math.max(0, Math.floor((view[0] - from) / step)), Math.max(0, Math.ceil((view[1] - from) / step)));
    const over = (name, height, unit, [from, to], top, draw) => {
      const chart = new Chart(this.host(name), height, unit);
      chart.over(from, to);
      chart.upTo(0, top * 1.04);
      chart.tint(this.all[0], start, "history");
      chart.tint(start, data.counts_from_s, "settling");
      chart.grid(height < 120 ? 2 : 5);
      chart.timeAxis(zone);
      draw(chart);
      chart.show(name + " over time");
      this.host(name).chart = chart;
    };
    over("overview", 96, data.unit, this.all, high(long.peak), (chart) => {
      chart.line(long, "load");
      if (data.history.length) chart.text(chart.x((this.all[0] + start) / 2), chart.top + 10, "history", "middle", 'class="unit"');
      if (view[0] > this.all[0] || view[1] < this.all[1]) chart.tint(view[0], view[1], "looked-at");
    });
    over("load", 200, data.unit, view, high(within(long.peak, this.all[0])), (chart) => {
      chart.line(long, "load");
      const width = (chart.right - chart.left) * step / (view[1] - view[0]);
      for (const point of data.censored) {
        const x = chart.x(start + point * step);
        if (x >= chart.left && x <= chart.right) chart.add(`<path class="censored" d="M${x.toFixed(1)} ${chart.top}h${Math.max(1, width).toFixed(1)}"/>`);
      }
    });
    const shown = data.candidates.map((one, series) => ({ ...one, series })).filter((one) => this.visible(one.series));
    const ranked = shown.sort((a, b) => data.ranking.indexOf(b.series) - data.ranking.indexOf(a.series));
    const oracle = this.visible("oracle") ? data.oracle : [];
    const pods = Math.max(high(within(oracle, start)), ...ranked.map((one) => high(within(one.pods_peak, start))));
    over("pods", 300, "pods", view, pods, (chart) => {
      for (const one of ranked) chart.line({ start, step, mean: one.pods, peak: one.pods_peak }, one.series);
      chart.line({ start, step, mean: oracle, peak: oracle }, "oracle");
    });
    over("queue", 180, "waiting", view, Math.max(1, ...ranked.map((one) => high(within(one.queue, start)))), (chart) => {
      for (const one of ranked) chart.line({ start, step, mean: one.queue, peak: one.queue }, one.series);
    });
    frontier(this.host("frontier"), data);
    this.readout.textContent = `Shown: ${instant(view[0], zone)} to ${instant(view[1], zone)}${zone.dated ? " " + zone.name : ""}. Point at a chart to read it.`;
  }

  // Reads the charts under the pointer; a drag looks closer.
  follow(host) {
    let from = null;
    const at = (event) => {
      const { chart } = host;
      const share = (event.clientX - chart.svg.getBoundingClientRect().left - chart.left) / (chart.right - chart.left);
      return chart.from + Math.min(1, Math.max(0, share)) * (chart.to - chart.from);
    };
    host.addEventListener("pointerdown", (event) => { if (event.pointerType === "mouse" && event.button === 0) from = at(event); });
    host.addEventListener("pointermove", (event) => {
      this.read(at(event));
      if (from === null) return;
      const [a, b] = [from, at(event)].sort((x, y) => x - y).map((time) => host.chart.x(time));
      const drag = host.chart.svg.querySelector(".drag");
      drag.setAttribute("x", a);
      drag.setAttribute("width", b - a);
    });
    window.addEventListener("pointerup", (event) => {
      if (from === null) return;
      const [a, b] = [from, at(event)].sort((x, y) => x - y);
      from = null;
      // Less than a few points is a click.
      if (b - a > 4 * this.data.seconds_per_point) this.look([a, b], "own");
      else this.draw();
    });
  }

  read(time) {
    const { data, zone } = this;
    const point = Math.floor((time - data.start_s) / data.seconds_per_point);
    for (const name of ["overview", "load", "pods", "queue"]) {
      const { chart } = this.host(name);
      const cursor = chart.svg.querySelector(".cursor");
      cursor.style.visibility = time >= chart.from && time <= chart.to ? "visible" : "hidden";
      cursor.setAttribute("d", `M${chart.x(time).toFixed(1)} ${chart.top}V${chart.bottom}`);
    }
    const load = point < 0 ? data.history[data.history.length + point] : data.load[point];
    const parts = [`<b>${instant(time, zone)}${zone.dated ? " " + escapeText(zone.name) : ""}</b>`, `load ${number(load)} ${data.unit}`];
    if (point >= 0) {
      if (this.visible("oracle")) parts.push(`oracle ${number(data.oracle[point])} pods`);
      for (const series of data.ranking.filter((series) => this.visible(series))) {
        const one = data.candidates[series];
        parts.push(`${escapeText(one.name)} ${number(one.pods[point])} pods, ${number(one.queue[point])} waiting`);
      }
    }
    this.readout.innerHTML = parts.map((part) => `<span>${part}</span>`).join("");
  }
}

for (const section of document.querySelectorAll("section.trace")) new TraceView(section);
