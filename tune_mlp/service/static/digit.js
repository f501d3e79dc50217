/* A drawing as the pixels that a model learnt from: MNIST's way for 28 by 28 pixels, and that of scikit-learn's digits for 8 by 8. */
"use strict";
(() => {
  /* The ink of a canvas, from 0 to 1, with the box around it. */
  function ink(canvas) {
    const { width, height } = canvas;
    const { data } = canvas.getContext("2d").getImageData(0, 0, width, height);
    const values = new Float32Array(width * height);
    let left = width, right = -1, top = height, bottom = -1;
    for (let i = 0; i < values.length; i++) {
      values[i] = data[4 * i] / 255;
      if (values[i] > 0.05) {
        const x = i % width, y = (i - x) / width;
        left = Math.min(left, x);
        right = Math.max(right, x);
        top = Math.min(top, y);
        bottom = Math.max(bottom, y);
      }
    }
    return { values, width, left, right: right + 1, top, bottom: bottom + 1 };
  }

  /* Shrink the ink by a factor, with the point (x, y) of the drawing at the point (toX, toY) of a square of this many pixels. */
  function shrunk(drawn, factor, [x, y], [toX, toY], size) {
    const pixels = new Float32Array(size * size);
    for (let row = drawn.top; row < drawn.bottom; row++) {
      for (let column = drawn.left; column < drawn.right; column++) {
        const value = drawn.values[row * drawn.width + column];
        if (!value) continue;
        const px = Math.floor((column + 0.5 - x) * factor + toX), py = Math.floor((row + 0.5 - y) * factor + toY);
        if (px >= 0 && px < size && py >= 0 && py < size) pixels[py * size + px] += value * factor * factor;
      }
    }
    return pixels.map((value) => Math.min(1, value));
  }

  function centreOfMass(drawn) {
    let mass = 0, x = 0, y = 0;
    for (let row = drawn.top; row < drawn.bottom; row++) {
      for (let column = drawn.left; column < drawn.right; column++) {
        const value = drawn.values[row * drawn.width + column];
        mass += value;
        x += value * (column + 0.5);
        y += value * (row + 0.5);
      }
    }
    return [x / mass, y / mass];
  }

  /* MNIST: a digit fits a box of 20 by 20 pixels, and its centre of mass is that of the picture. */
  function likeMnist(drawn) {
    const factor = 20 / Math.max(drawn.right - drawn.left, drawn.bottom - drawn.top);
    return shrunk(drawn, factor, centreOfMass(drawn), [14, 14], 28);
  }

  /* scikit-learn's digits: a bitmap of 32 by 32 pixels that the digit fills, and in each of 8 by 8 blocks the pixels that are set are counted. */
  function likeDigits(drawn) {
    const factor = 32 / Math.max(drawn.right - drawn.left, drawn.bottom - drawn.top);
    const centre = [(drawn.left + drawn.right) / 2, (drawn.top + drawn.bottom) / 2];
    const bitmap = shrunk(drawn, factor, centre, [16, 16], 32);
    const pixels = new Float32Array(64);
    bitmap.forEach((value, i) => {
      if (value > 0.5) pixels[Math.floor(Math.floor(i / 32) / 4) * 8 + Math.floor((i % 32) / 4)] += 1 / 16;
    });
    return pixels;
  }
  const WAYS = { 28: likeMnist, 8: likeDigits };
  /* The pen is as wide as in the data: about a tenth of a digit, and a fifth where there are few pixels. */
  const WIDTHS = { 28: 22, 8: 38 };
  const CANVAS = 280, DIGIT = 200;
  const MOST = 8;   // a dot has no size that could be made larger

  /* Make a canvas black, and take the pen. */
  window.wipeCanvas = (context, size) => {
    context.fillStyle = "#000";
    context.fillRect(0, 0, CANVAS, CANVAS);
    context.strokeStyle = "#fff";
    context.lineWidth = WIDTHS[size];
    context.lineCap = context.lineJoin = "round";
  };
  /* Draw a line from a point to a point. */
  window.drawLine = (context, [from, to]) => {
    context.beginPath();
    context.moveTo(...from);
    context.lineTo(to[0] + 0.01, to[1]);   // a line without any length isn't drawn
    context.stroke();
  };

  /* Lines made as large as a digit, in the middle of the canvas, so that the pen is as wide in a small drawing as in a large one. */
  function asLarge(lines, size) {
    const points = lines.flat(), [xs, ys] = [0, 1].map((axis) => points.map((point) => point[axis]));
    const box = [xs, ys].map((values) => [values.reduce((a, b) => Math.min(a, b)), values.reduce((a, b) => Math.max(a, b))]);
    const largest = Math.max(...box.map(([low, high]) => high - low));
    const factor = Math.min(MOST, (DIGIT - WIDTHS[size]) / largest);
    return lines.map((line) => line.map((point) => point.map((one, axis) => CANVAS / 2 + factor * (one - (box[axis][0] + box[axis][1]) / 2))));
  }

  /* The pixels of a drawing's lines, from 0 to 1, row by row; null where nothing is drawn. */
  window.digitPixels = (lines, size) => {
    if (!lines.length) return null;
    const canvas = document.createElement("canvas");
    canvas.width = canvas.height = CANVAS;
    const context = canvas.getContext("2d", { willReadFrequently: true });
    wipeCanvas(context, size);
    for (const line of asLarge(lines, size)) drawLine(context, line);
    return Array.from(WAYS[size](ink(canvas)));
  };
})();
