// One chart as SVG, as wide as its place. Time is in seconds since 1970; null is a gap.
const HOUR = 3600;

// Marks on round times of the viewer's clock, at most so many.
function timeMarks(from, to, most) {
  const steps = [60, 300, 900, 1800, HOUR, 2 * HOUR, 3 * HOUR, 6 * HOUR, 12 * HOUR, 24 * HOUR];
  const step = steps.find((size) => (to - from) / size <= most) || (to - from) / most;
  const shift = new Date(from * 1000).getTimezoneOffset() * 60;
  const marks = [];
  for (let at = Math.ceil((from - shift) / step) * step + shift; at <= to; at += step) {
    const date = new Date(at * 1000);
    const midnight = date.getHours() === 0 && date.getMinutes() === 0 && step >= HOUR;
    marks.push({ at, label: midnight ? dayHere.format(date) : shortHere.format(date) });
  }
  return marks;
}

class Chart {
  constructor(host, height, unit, [from, to], high) {
    this.width = Math.max(280, host.clientWidth);
    Object.assign(this, { host, height, from, to, high: high > 0 ? high : 1, left: this.width < 500 ? 38 : 48, right: this.width - 8, top: 18, bottom: height - 22 });
    this.parts = [];
    for (const value of nice(0, this.high, Math.min(5, height / 40))) {
      this.path("gridline", `M${this.left} ${this.y(value)}H${this.right}`);
      this.text(this.left - 5, this.y(value) + 4, short(value), "end");
    }
    this.text(2, 11, unit, "start", "unit");
  }

  x(at) { return Number((this.left + (at - this.from) / (this.to - this.from) * (this.right - this.left)).toFixed(1)); }
  y(value) { return Number((this.bottom - Math.min(1, Math.max(0, value / this.high)) * (this.bottom - this.top)).toFixed(1)); }
  path(kind, d) { if (d) this.parts.push(svg("path", { class: kind, d })); }
  text(x, y, content, anchor, kind) { this.parts.push(svg("text", { x, y, "text-anchor": anchor, class: kind }, content)); }

  axis() {
    this.path("axis", `M${this.left} ${this.bottom}H${this.right}`);
    for (const { at, label } of timeMarks(this.from, this.to, (this.right - this.left) / 76)) {
      const x = this.x(at);
      this.path("axis", `M${x} ${this.bottom}v4`);
      this.text(x, this.bottom + 16, label, x > this.right - 30 ? "end" : x < this.left + 14 ? "start" : "middle");
    }
  }

  // Runs of points without a gap: of slots that follow each other and have a value.
  runs(series, values) {
    const runs = [];
    let run = null;
    series.at.forEach((at, nth) => {
      if (values[nth] === null || (run && at - run.last > series.gap)) run = null;
      if (values[nth] === null) return;
      if (!run) runs.push(run = { points: [] });
      run.points.push([at, values[nth], nth]);
      run.last = at;
    });
    return runs.map((one) => one.points);
  }

  // A line from slot to slot; a lone point is a short dash.
  line(kind, series, values, ahead = 0) {
    const d = this.runs(series, values).map((points) => points.length === 1
      ? `M${this.x(points[0][0] + ahead) - 1.5} ${this.y(points[0][1])}h3`
      : "M" + points.map(([at, value]) => `${this.x(at + ahead)} ${this.y(value)}`).join("L"));
    this.path(kind, d.join(""));
  }

  // A line in steps: a count holds until the next is known.
  steps(kind, series, values) {
    const d = this.runs(series, values).map((points) => points.map(([at, value], nth) =>
      `${nth ? `H${this.x(at)}V` : `M${this.x(at)} `}${this.y(value)}`).join("") + `H${this.x(points[points.length - 1][0] + series.slot_s)}`);
    this.path(kind, d.join(""));
  }

  // The area between two series, in steps or along their lines.
  area(kind, series, low, high, inSteps) {
    const either = low.map((value, nth) => value === null || high[nth] === null ? null : value);
    const d = this.runs(series, either).map((points) => {
      const edge = (values) => points.flatMap(([at, , nth], place) => {
        const y = this.y(values[nth]);
        if (!inSteps) return [`${this.x(at)} ${y}`];
        const next = place + 1 < points.length ? points[place + 1][0] : at + series.slot_s;
        return [`${this.x(at)} ${y}`, `${this.x(next)} ${y}`];
      });
      return `M${edge(high).join("L")}L${edge(low).reverse().join("L")}Z`;
    });
    this.path(kind, d.join(""));
  }

  // Times in which something is so, as bands over the whole height.
  spells(kind, series, is) {
    const runs = this.runs(series, is.map((so) => so ? 1 : null));
    this.path(kind, runs.map((points) => {
      const [a, b] = [this.x(points[0][0]), this.x(points[points.length - 1][0] + series.slot_s)];
      return `M${a} ${this.top}H${Math.max(a + 1.5, b)}V${this.bottom}H${a}Z`;
    }).join(""));
  }

  show(label) {
    const clip = this.host.dataset.chart + "-clip";
    this.cursor = svg("path", { class: "cursor", d: `M0 ${this.top}V${this.bottom}`, visibility: "hidden" });
    const size = { width: this.width, height: this.height, viewBox: `0 0 ${this.width} ${this.height}` };
    this.node = svg("svg", { ...size, role: "img", "aria-label": label },
      svg("clipPath", { id: clip }, svg("rect", { x: this.left, y: 0, width: this.right - this.left, height: this.height })),
      this.parts.filter((part) => part.tagName !== "path" || /^(gridline|axis)$/.test(part.getAttribute("class"))),
      svg("g", { "clip-path": `url(#${clip})` }, this.parts.filter((part) => part.tagName === "path" && !/^(gridline|axis)$/.test(part.getAttribute("class")))),
      this.cursor);
    this.host.replaceChildren(this.node);
  }

  point(at) {
    this.cursor.setAttribute("visibility", at === null ? "hidden" : "visible");
    if (at !== null) this.cursor.setAttribute("d", `M${this.x(at)} ${this.top}V${this.bottom}`);
  }
}

const swatch = (kind) => svg("svg", { class: "swatch", width: 28, height: 12, viewBox: "0 0 28 12", "aria-hidden": "true" },
  svg("path", { class: kind, d: /^(band|range|failed)$/.test(kind) ? "M0 1H28V11H0Z" : "M0 6H28" }));
const legend = (entries) => h("p", { class: "legend" }, entries.map(([kind, label]) => h("span", {}, swatch(kind), label)));
const highest = (...columns) => columns.flat().reduce((most, value) => value !== null && value > most ? value : most, 0);
