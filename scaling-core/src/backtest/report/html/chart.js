// One chart as SVG, as wide as its place.
const DASHES = ["", "7 3", "2 2.5", "10 3 2 3", "5 2", "1 3", "12 3 3 3", "4 4"];
const MARKERS = [
  (r) => `<circle r="${r}"/>`,
  (r) => `<rect x="${-r}" y="${-r}" width="${2 * r}" height="${2 * r}"/>`,
  (r) => `<path d="M0 ${-1.3 * r}L${1.2 * r} ${r}L${-1.2 * r} ${r}Z"/>`,
  (r) => `<path d="M0 ${-1.4 * r}L${1.4 * r} 0L0 ${1.4 * r}L${-1.4 * r} 0Z"/>`,
  (r) => `<path d="M0 ${1.3 * r}L${1.2 * r} ${-r}L${-1.2 * r} ${-r}Z"/>`,
  (r) => `<path d="M${-r} ${-r}L${r} ${r}M${r} ${-r}L${-r} ${r}" class="open"/>`,
  (r) => `<path d="M0 ${-1.2 * r}V${1.2 * r}M${-1.2 * r} 0H${1.2 * r}" class="open"/>`,
];
const COLOURS = 8;

// Colour, dash and marker of a series come around at different paces: together they repeat late.
const styleOf = (series) => series === "oracle" ? { colour: "var(--ink)", dash: "6 3", marker: null }
  : series === "load" ? { colour: "var(--load)", dash: "", marker: null }
  : { colour: `var(--c${series % COLOURS})`, dash: DASHES[(series + Math.floor(series / COLOURS)) % DASHES.length],
      marker: MARKERS[series % MARKERS.length] };

function marker(series, x, y, radius) {
  const style = styleOf(series);
  if (!style.marker) return "";
  return `<g class="marker" transform="translate(${x.toFixed(1)} ${y.toFixed(1)})" style="color:${style.colour}">${style.marker(radius)}</g>`;
}

function swatch(series) {
  const style = styleOf(series);
  return `<svg class="swatch" width="30" height="12" aria-hidden="true"><path d="M1 6H29" style="stroke:${style.colour};stroke-dasharray:${style.dash}"/>`
    + marker(series, 15, 6, 3.2) + "</svg>";
}

class Chart {
  constructor(host, height, unit) {
    this.width = Math.max(260, host.clientWidth);
    this.height = height;
    this.left = this.width < 500 ? 40 : 52;
    this.right = this.width - 8;
    this.top = 20;
    this.bottom = height - 22;
    this.host = host;
    this.unit = unit;
    this.parts = [];
  }

  over(from, to) { [this.from, this.to] = [from, to]; }
  upTo(low, high) { [this.low, this.high] = [low, high > low ? high : low + 1]; }
  x(at) { return this.left + (at - this.from) / (this.to - this.from) * (this.right - this.left); }
  y(value) { return this.bottom - (value - this.low) / (this.high - this.low) * (this.bottom - this.top); }
  add(part) { this.parts.push(part); }

  text(x, y, text, anchor, extra) {
    this.add(`<text x="${x.toFixed(1)}" y="${y.toFixed(1)}" text-anchor="${anchor}" ${extra || ""}>${escapeText(text)}</text>`);
  }

  grid(about) {
    for (const value of nice(this.low, this.high, about)) {
      const y = this.y(value).toFixed(1);
      this.add(`<path class="gridline" d="M${this.left} ${y}H${this.right}"/>`);
      this.text(this.left - 5, Number(y) + 4, short(value), "end");
    }
    this.text(2, 11, this.unit, "start", 'class="unit"');
  }

  // Tints a part of the time.
  tint(from, to, kind) {
    const [a, b] = [Math.max(from, this.from), Math.min(to, this.to)];
    if (b <= a) return;
    this.add(`<rect class="${kind}" x="${this.x(a).toFixed(1)}" y="${this.top}" width="${(this.x(b) - this.x(a)).toFixed(1)}" height="${this.bottom - this.top}"/>`);
  }

  timeAxis(zone) {
    this.add(`<path class="axis" d="M${this.left} ${this.bottom}H${this.right}"/>`);
    for (const mark of timeMarks(this.from, this.to, (this.right - this.left) / 78, zone)) {
      const x = this.x(mark.at);
      this.add(`<path class="axis" d="M${x.toFixed(1)} ${this.bottom}v4"/>`);
      this.text(x, this.bottom + 16, mark.label, x > this.right - 24 ? "end" : x < this.left + 20 ? "start" : "middle");
    }
  }

  // The series in one column for each pixel: mean and highest value of the points in it; null in a gap.
  columns(series) {
    const { start, step, mean, peak } = series;
    const first = Math.max(0, Math.floor((this.from - start) / step));
    const end = Math.min(mean.length, Math.ceil((this.to - start) / step));
    const width = Math.max(1, (end - first) / Math.max(1, this.right - this.left));
    const columns = [];
    for (let at = first; at < end; at += width) {
      let [sum, known, high] = [0, 0, 0];
      const [a, b] = [Math.floor(at), Math.min(end, Math.max(Math.floor(at) + 1, Math.floor(at + width)))];
      for (let point = a; point < b; point++) {
        if (mean[point] === null) continue;
        sum += mean[point];
        known += 1;
        high = Math.max(high, peak[point]);
      }
      columns.push({ x: this.x(start + (a + b) / 2 * step), mean: known ? sum / known : null, peak: high });
    }
    return columns;
  }

  // A line through the means, and the area from there to the peaks.
  line(series, name) {
    const style = styleOf(name);
    let [path, band, last, run] = ["", "", null, []];
    const close = () => {
      if (run.length > 1) {
        band += "M" + run.map((one) => `${one.x.toFixed(1)} ${this.y(one.peak).toFixed(1)}`).join("L")
          + "L" + run.reverse().map((one) => `${one.x.toFixed(1)} ${this.y(one.mean).toFixed(1)}`).join("L") + "Z";
      }
      run = [];
    };
    let marked = this.left + 40 + (typeof name === "number" ? name * 23 : 0);
    const marks = [];
    for (const one of this.columns(series)) {
      if (one.mean === null) { last = null; close(); continue; }
      path += `${last ? "L" : "M"}${one.x.toFixed(1)} ${this.y(one.mean).toFixed(1)}`;
      last = one;
      run.push(one);
      if (one.x >= marked) { marks.push(marker(name, one.x, this.y(one.mean), 3)); marked += 170; }
    }
    close();
    if (band) this.add(`<path class="band" d="${band}" style="fill:${style.colour}"/>`);
    if (path) this.add(`<path class="line" d="${path}" style="stroke:${style.colour};stroke-dasharray:${style.dash}"/>`);
    this.add(marks.join(""));
  }

  show(label) {
    this.host.innerHTML = `<svg viewBox="0 0 ${this.width} ${this.height}" width="${this.width}" height="${this.height}" role="img" aria-label="${escapeText(label)}">`
      + this.parts.join("") + `<path class="cursor" d="M0 ${this.top}V${this.bottom}"/><rect class="drag" y="${this.top}" height="${this.bottom - this.top}" width="0"/></svg>`;
    this.svg = this.host.firstChild;
  }
}

// Cost against violations. Small shares are told apart on the axis, down to one request in ten thousand.
const FINEST = 1e-4;
const place = (share) => Math.log10(1 + Math.min(1, Math.max(0, share)) / FINEST);

function frontier(host, data) {
  const chart = new Chart(host, 340, "pod-hours");
  const shown = data.candidates.map((one, series) => ({ ...one, series }));
  const costs = shown.map((one) => one.pod_hours).sort((a, b) => a - b);
  const most = Math.max(FINEST, ...shown.map((one) => one.violating_share));
  // A policy far dearer than the rest would press the others together: it stands at the edge, with its number.
  const median = costs.length ? costs[Math.floor((costs.length - 1) / 2)] : 1;
  const within = costs.filter((cost) => cost <= 2.5 * median);
  const end = Math.min(1, most * 1.6);
  const inside = data.frontier.filter(([share]) => share <= end);
  const lowest = Math.min(...costs, ...inside.map(([, cost]) => cost));
  const highest = Math.max(...within, ...inside.map(([, cost]) => cost).filter((cost) => cost <= 2.5 * median));
  if (!Number.isFinite(lowest) || !Number.isFinite(highest)) { host.textContent = ""; return; }
  const room = Math.max(highest - lowest, highest * 0.05, 1e-9);
  chart.over(0, place(end));
  chart.upTo(Math.max(0, lowest - room * 0.12), highest + room * 0.14);
  chart.bottom -= 16;
  chart.grid(6);
  chart.add(`<path class="axis" d="M${chart.left} ${chart.bottom}H${chart.right}"/>`);
  // Tenfold shares first, then those between them where there is room.
  const marked = [];
  for (const share of [0, 1e-4, 1e-3, 1e-2, 1e-1, 1, 5e-1, 5e-2, 5e-3, 5e-4, 2e-1, 2e-2, 2e-3].filter((share) => share <= end)) {
    const x = chart.x(place(share));
    if (marked.some((other) => Math.abs(other - x) < 54)) continue;
    marked.push(x);
    chart.add(`<path class="axis" d="M${x.toFixed(1)} ${chart.bottom}v4"/>`);
    chart.text(x, chart.bottom + 16, Number((share * 100).toPrecision(3)) + " %", x > chart.right - 20 ? "end" : "middle");
  }
  chart.text(chart.right, chart.height - 4, "violating requests", "end");
  const clip = (cost) => Math.min(chart.high, Math.max(chart.low, cost));
  if (data.frontier.length) {
    let [path, last] = ["", null];
    for (const [share, cost] of data.frontier) {
      if (last && share > end) {
        // The line leaves the chart on its way to the next point.
        const part = (place(end) - place(last[0])) / (place(share) - place(last[0]));
        path += `L${chart.right} ${chart.y(clip(last[1] + part * (cost - last[1]))).toFixed(1)}`;
        break;
      }
      path += `${path ? "L" : "M"}${chart.x(place(share)).toFixed(1)} ${chart.y(clip(cost)).toFixed(1)}`;
      last = [share, cost];
    }
    chart.add(`<path class="line" d="${path}" style="stroke:var(--ink);stroke-dasharray:6 3"/>`);
  }
  // Settings of one parameter are joined, to be found again.
  for (const family of new Set(shown.map((one) => one.family).filter(Boolean))) {
    const members = shown.filter((one) => one.family === family).sort((a, b) => a.parameter - b.parameter);
    const path = members.map((one) => `${chart.x(place(one.violating_share)).toFixed(1)} ${chart.y(clip(one.pod_hours)).toFixed(1)}`).join("L");
    if (members.length > 1) chart.add(`<path class="line thin" d="M${path}" style="stroke:${styleOf(members[0].series).colour}"/>`);
  }
  const points = shown.map((one) => ({ one, x: chart.x(place(one.violating_share)), y: chart.y(clip(one.pod_hours)), beyond: one.pod_hours > chart.high }));
  const taken = points.map(({ x, y }) => [x - 6, y - 6, x + 6, y + 6]);
  for (const { one, x, y, beyond } of points) {
    const title = `${one.name}: ${number(one.pod_hours)} pod-hours, ${(one.violating_share * 100).toFixed(3)} % violating`;
    const arrow = beyond ? `<path class="axis" d="M${x.toFixed(1)} ${y + 14}V${y + 6}m-3 4l3 -4l3 4"/>` : "";
    chart.add(`<g><title>${escapeText(title)}</title>${arrow}${marker(one.series, x, y, 4.5)}</g>`);
    label(chart, taken, x, y, beyond ? `${one.name} ↑ ${number(Math.round(one.pod_hours))}` : one.name, one.series);
  }
  chart.show("cost against violations");
}

// Puts a name beside a point where it lies on nothing else; if there is no such place, its title tells it.
function label(chart, taken, x, y, name, series) {
  const [width, height] = [name.length * 6.6, 13];
  const shifts = [0, -14, 14, -28, 28, -42, 42];
  for (const shift of shifts) {
    for (const side of x > chart.right - width - 12 ? [-1] : x < chart.left + width + 12 ? [1] : [1, -1]) {
      const a = side > 0 ? x + 9 : x - 9 - width;
      const box = [a, y + shift - height / 2, a + width, y + shift + height / 2];
      if (box[0] < chart.left || box[2] > chart.right + 8 || box[1] < 2 || box[3] > chart.bottom) continue;
      if (taken.some((other) => box[0] < other[2] && other[0] < box[2] && box[1] < other[3] && other[1] < box[3])) continue;
      taken.push(box);
      if (shift) chart.add(`<path class="leader" d="M${(x + side * 5).toFixed(1)} ${(y + Math.sign(shift) * 5).toFixed(1)}L${(x + side * 9).toFixed(1)} ${(y + shift).toFixed(1)}"/>`);
      chart.text(side > 0 ? a : a + width, y + shift + 4, name, side > 0 ? "start" : "end", `style="fill:${styleOf(series).colour}" class="name"`);
      return;
    }
  }
}
