// Instants as people read them.
const DAY = 86400;
const WEEKDAYS = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"];
const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

// Seconds by which the clock of a zone is ahead of UTC. A zone is { name, offsets, dated }.
const offset = (seconds, zone) => zone.offsets.reduce((found, [from, ahead]) => seconds >= from || found === null ? ahead : found, null) || 0;
const wall = (seconds, zone) => new Date((seconds + offset(seconds, zone)) * 1000);
// The midnight before.
const midnight = (seconds, zone) => {
  const ahead = offset(seconds, zone);
  const begin = Math.floor((seconds + ahead) / DAY) * DAY - ahead;
  return begin + ahead - offset(begin, zone);
};

function clock(seconds, zone) {
  const date = wall(seconds, zone);
  return twoDigits(date.getUTCHours()) + ":" + twoDigits(date.getUTCMinutes());
}

function day(seconds, zone) {
  if (!zone.dated) return "day " + (Math.floor(seconds / DAY) + 1);
  const date = wall(seconds, zone);
  return WEEKDAYS[date.getUTCDay()] + " " + date.getUTCDate() + " " + MONTHS[date.getUTCMonth()];
}

const instant = (seconds, zone) => day(seconds, zone) + " " + clock(seconds, zone);

// Marks of a time axis, at most so many, on whole hours or days.
function timeMarks(from, to, about, zone) {
  const steps = [60, 300, 900, 1800, 3600, 7200, 10800, 21600, 43200, DAY, 2 * DAY, 7 * DAY, 14 * DAY, 28 * DAY];
  const step = steps.find((size) => (to - from) / size <= about) || (to - from) / about;
  const marks = [];
  const ahead = offset(from, zone);
  for (let local = Math.ceil((from + ahead) / step) * step; local - ahead <= to + DAY; local += step) {
    const at = local - offset(local - ahead, zone);
    if (at >= from && at <= to) marks.push({ at, label: local % DAY === 0 || step >= DAY ? day(at, zone) : clock(at, zone) });
  }
  return marks;
}
