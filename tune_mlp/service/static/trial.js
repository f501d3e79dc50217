/* A trial's curve beside the best one's. */
"use strict";
addEventListener("DOMContentLoaded", async () => {
  const box = document.getElementById("curve");
  const { study, trial, best, metric, mode } = box.dataset;
  async function curve(number) {
    const answer = await fetch(`/api/studies/${study}/trials/${number}`);
    if (!answer.ok) return { epochs: [] };
    return answer.json();
  }
  const numbers = [...new Set([trial, best].filter(Boolean))];
  const found = await Promise.all(numbers.map(curve));
  const sums = found.map(({ epochs }) => {
    const values = new Map();   // folds and seeds of an epoch are shown by their mean
    for (const row of epochs) {
      const held = values.get(row.epoch) || { train: [], val: [] };
      held.val.push(row[metric]);
      held.train.push(row[metric.replace(/^val_/, "train_")]);
      values.set(row.epoch, held);
    }
    return values;
  });
  const most = Math.max(1, ...sums.flatMap((values) => [...values.keys()]));
  const xs = Array.from({ length: most }, (_, i) => i + 1);
  const mean = (all) => (all && all.length && all.every((one) => typeof one === "number") ? all.reduce((a, b) => a + b, 0) / all.length : null);
  const entries = [[1, `trial ${trial}`, 0, "val"], [2, `trial ${trial}, on the training samples`, 0, "train"]];
  if (numbers.length > 1) entries.push([3, `trial ${best}, the best`, 1, "val"]);
  const lines = entries.map(([kind, label, place, part]) => ({ kind, label, values: xs.map((x) => mean(sums[place].get(x)?.[part])) }))
    .filter((line) => line.values.some((value) => value !== null));
  new LineChart(box, { x: "epoch", y: metric.replace(/^val_/, ""), mode, whole: true }).show({ xs, lines, band: null });
  lineLegend(document.getElementById("curve-legend"), lines.map((line) => [line.kind, line.label]));
  box.dataset.lines = lines.length;
});
