"use strict";
for (const section of document.querySelectorAll("section.trace")) {
  const data = JSON.parse(section.querySelector("script[type='application/json']").textContent);
  const readout = section.querySelector(".readout");
  const cursors = section.querySelectorAll(".cursor");
  const number = (value) => value === null ? "–" : value.toLocaleString("en", { maximumSignificantDigits: 4 });
  for (const box of section.querySelectorAll("input[data-series]")) {
    box.addEventListener("change", () => {
      for (const part of section.querySelectorAll(".series-" + box.dataset.series)) part.classList.toggle("off", !box.checked);
    });
  }
  for (const chart of section.querySelectorAll("svg[data-over-time]")) {
    chart.addEventListener("pointermove", (event) => {
      const place = chart.getBoundingClientRect();
      const x = (event.clientX - place.left) / place.width * data.width;
      const share = (x - data.left) / (data.right - data.left);
      const index = Math.floor(share * data.load.length);
      if (index < 0 || index >= data.load.length) return;
      const at = data.left + (index + 0.5) / data.load.length * (data.right - data.left);
      for (const cursor of cursors) {
        cursor.setAttribute("x1", at);
        cursor.setAttribute("x2", at);
        cursor.style.visibility = "visible";
      }
      const when = data.start_s + (index + 0.5) * data.seconds_per_point;
      const label = data.dated ? new Date(when * 1000).toISOString().slice(0, 16).replace("T", " ")
        : data.in_days ? "day " + (when / 86400).toFixed(2) : "hour " + (when / 3600).toFixed(2);
      const parts = [label, "load " + number(data.load[index]) + data.unit, "oracle " + number(data.oracle[index]) + " pods"];
      for (const one of data.candidates) {
        parts.push(one.name + " " + number(one.pods[index]) + " pods, " + number(one.queue[index]) + " waiting");
      }
      readout.textContent = parts.join(" · ");
    });
  }
}
