/* The best score so far of several studies, over their trials or over time. */
"use strict";
addEventListener("DOMContentLoaded", async () => {
  const box = document.getElementById("course");
  if (!box) return;
  const { query, over } = box.dataset;
  const answer = await fetch("/api/compare" + query);
  const found = await answer.json();
  if (!answer.ok) { box.textContent = found.error; return; }
  const place = over === "time" ? "seconds" : "trials";
  const courses = found.studies.map(({ course, summary }) => {
    const points = course.filter((point) => point[place] !== null).map((point) => [point[place], point.best]);
    if (points.length) {
      const last = over === "time" ? (summary.ended || Date.now() / 1000) - summary.started : summary.ended_trials;
      if (summary.started && last > points[points.length - 1][0]) points.push([last, points[points.length - 1][1]]);
    }
    return points;
  });
  const most = Math.max(0, ...courses.flatMap((points) => points.map(([x]) => x)));
  const [size, unit] = over !== "time" ? [1, "trials"] : most > 7200 ? [3600, "hours"] : most > 180 ? [60, "minutes"] : [1, "seconds"];
  const lines = courses.map((points, i) => ({
    kind: i + 1, label: found.studies[i].summary.name, xs: points.map(([x]) => x / size), values: points.map(([, y]) => y), name: found.studies[i].summary.name,
  }));
  const xs = [...new Set(lines.flatMap((line) => line.xs))].sort((a, b) => a - b);
  new LineChart(box, { x: unit, y: found.metric || "score", mode: found.mode, steps: true, open: (line) => "/studies/" + line.name }).show({ xs, lines, band: null });
  lineLegend(document.getElementById("course-legend"), lines.map((line) => [line.kind, line.label]));
  box.dataset.lines = lines.filter((line) => line.values.length).length;
});
