"use strict";
// Uses the page once it shows something, and leaves what it found in the page.
const text = (where) => document.querySelector(where).textContent;
const rows = () => [...document.querySelectorAll("#rows tbody tr")].map((row) => [...row.cells].map((cell) => cell.textContent));
const sorts = () => Object.fromEntries([...document.querySelectorAll("#rows th")].map((head) => [head.textContent.replace(/ [▲▼]/, ""), head.getAttribute("aria-sort")]));
const kinds = () => [...new Set([...document.querySelectorAll(".chart path")].map((path) => path.getAttribute("class")))];
const press = (label) => [...document.querySelectorAll("#rows th button")].find((one) => one.textContent.startsWith(label)).click();
function type(where, typed) {
  const field = document.querySelector(where);
  field.value = typed;
  field.dispatchEvent(new Event("input", { bubbles: true }));
}
function key(where, name, read) {
  document.querySelector(where).focus();
  document.activeElement.dispatchEvent(new KeyboardEvent("keydown", { key: name, bubbles: true }));
  return text(read);
}
const wait = (ms) => new Promise((resolve) => { setTimeout(resolve, ms); });

(async () => {
  for (let tries = 0; tries < 60 && !document.body.dataset.shown && !/nothing to show/.test(document.body.textContent); tries++) await wait(50);
  await wait(1500);
  let found;
  try { found = await use(); } catch (error) { found = { error: String(error.stack) }; }
  const place = document.createElement("pre");
  place.id = "probe";
  place.textContent = JSON.stringify(found);
  // In a frame it is left where it can be seen.
  parent.document.body.append(place);
})();

async function use() {
