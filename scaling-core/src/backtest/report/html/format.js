// Instants as people read them.
const DAY = 86400;
const WEEKDAYS = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"];
const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

function clock(seconds) {
  const date = new Date(seconds * 1000);
  return twoDigits(date.getUTCHours()) + ":" + twoDigits(date.getUTCMinutes());
}

function day(seconds, dated) {
  if (!dated) return "day " + (Math.floor(seconds / DAY) + 1);
  const date = new Date(seconds * 1000);
  return WEEKDAYS[date.getUTCDay()] + " " + date.getUTCDate() + " " + MONTHS[date.getUTCMonth()];
}

const instant = (seconds, dated) => day(seconds, dated) + " " + clock(seconds);

// Marks of a time axis, at most so many, on whole hours or days.
function timeMarks(from, to, about, dated) {
  const steps = [60, 300, 900, 1800, 3600, 7200, 10800, 21600, 43200, DAY, 2 * DAY, 7 * DAY, 14 * DAY, 28 * DAY];
  const step = steps.find((size) => (to - from) / size <= about) || (to - from) / about;
  const marks = [];
  for (let at = Math.ceil(from / step) * step; at <= to; at += step) {
    marks.push({ at, label: at % DAY === 0 || step >= DAY ? day(at, dated) : clock(at) });
  }
  return marks;
}
