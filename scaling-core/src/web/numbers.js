// Numbers as people read them.
const number = (value) => value === null || value === undefined ? "–"
  : value.toLocaleString("en", { maximumSignificantDigits: Math.abs(value) >= 1000 ? 6 : 3, maximumFractionDigits: 3 });
// On an axis there is little room.
const short = (value) => Math.abs(value) >= 1e6 ? number(value / 1e6) + "M" : Math.abs(value) >= 1e4 ? number(value / 1e3) + "k" : number(value);
const twoDigits = (value) => String(value).padStart(2, "0");
const escapeText = (text) => text.replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;").replace(/"/g, "&quot;");

// Round numbers between two, about so many.
function nice(from, to, about) {
  const rough = (to - from) / Math.max(1, about);
  if (!(rough > 0)) return [from];
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 2.5, 5, 10].map((size) => size * power).find((size) => size >= rough * 0.999);
  const marks = [];
  for (let at = Math.ceil(from / step - 1e-9); at * step <= to + step * 1e-9; at++) marks.push(Number((at * step).toPrecision(12)));
  return marks;
}
