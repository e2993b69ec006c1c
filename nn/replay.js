// Replay a recorded training, with player.js: every picture is computed from the weights of the epoch that the slider is at.
//
// `mount(root, story)` takes an element and a story of
//   model: what was trained; layers: [{units: [name of the activation], softmax}]; units: their labels, the inputs' first
//   axes: the inputs shown, along low and high; means: where all inputs are held; features, classes: names
//   probabilities: whether the outputs are; ranges: of the targets, where they are numbers (and classes is empty)
//   points: [[shares along the axes], class or numbers]; colors: of the classes, those of - and + first
//   epochs: the numbers of the epochs kept, 0 is before training; for each of them
//   figures: texts; losses: {training, validation: numbers or null}; weights: float64, in base64
//   notes: what is not shown, or not as one might think
// Names come from users: they are only ever set as text.

const MOST_UNITS = 16; // of a layer that are drawn; all are computed

const number = (x) => String(Number(x.toPrecision(3))).replace("-", "−");
const counted = (count, noun) => `${count.toLocaleString("en")} ${noun}${count === 1 ? "" : "s"}`;

// ---- the network ---------------------------------------------------------------------------------------------------

// The error function by its series of positive terms: W. J. Cody (1969) has quicker ones, but pictures need no more.
function erf(x) {
  if (!(Math.abs(x) < 6)) return Math.sign(x);
  let term = (2 / Math.sqrt(Math.PI)) * x * Math.exp(-x * x);
  let sum = term;
  for (let n = 1; Math.abs(term) > 1e-17 * Math.abs(sum); n += 1) sum += term *= (2 * x * x) / (2 * n + 1);
  return sum;
}

const sigmoid = (x) => 1 / (1 + Math.exp(-x));
const softplus = (x) => Math.log1p(Math.exp(-Math.abs(x))) + Math.max(x, 0);
const elu = (x) => (x > 0 ? x : Math.expm1(x));

// The operations of the table that can be activations, on float64. Beyond their domains they are NaN, as there.
export const FUNCTIONS = {
  abs: Math.abs, acos: Math.acos, acosh: Math.acosh, asin: Math.asin, asinh: Math.asinh, atan: Math.atan, atanh: Math.atanh,
  cbrt: Math.cbrt, ceil: Math.ceil, cos: Math.cos, cosh: Math.cosh, elu, erf, erfc: (x) => 1 - erf(x), exp: Math.exp,
  exp2: (x) => 2 ** x, expm1: Math.expm1, floor: Math.floor, gelu: (x) => 0.5 * x * (1 + erf(x * Math.SQRT1_2)),
  leaky_relu: (x) => (x > 0 ? x : 0.01 * x), log: Math.log, log10: Math.log10, log1p: Math.log1p, log2: Math.log2,
  logsigmoid: (x) => -softplus(-x), neg: (x) => -x, nonnegative: (x) => (x >= 0 ? x : NaN), nonzero: (x) => (x ? 1 : 0),
  one_minus_square: (x) => (1 - x) * (1 + x), pos: (x) => x, reciprocal: (x) => 1 / x, relu: (x) => Math.max(x, 0),
  sech2: (x) => 1 / Math.cosh(x) ** 2, selu: (x) => 1.0507009873554805 * (x > 0 ? x : 1.6732632423543772 * Math.expm1(x)),
  sigmoid, sign: Math.sign, silu: (x) => x * sigmoid(x), sin: Math.sin, sinh: Math.sinh, softplus,
  softsign: (x) => x / (1 + Math.abs(x)), sqrt: Math.sqrt, square: (x) => x * x, step: (x) => (x > 0 ? 1 : 0), tan: Math.tan,
  tanh: Math.tanh,
};

function softmax(outputs) {
  for (let p = 0; p < outputs[0].length; p += 1) {
    let [top, sum] = [-Infinity, 0];
    for (const output of outputs) if (output[p] > top) top = output[p];
    for (const output of outputs) sum += output[p] = Math.exp(output[p] - top);
    for (const output of outputs) output[p] /= sum;
  }
}

// Return what each unit of each layer gives at all places; an input is an array of its numbers there, or one number.
// The weights are in the order of the parameters: unit by unit those of its inputs, and then the bias.
export function responses(layers, weights, inputs, places) {
  let at = 0;
  const all = [];
  for (const { units, softmax: shared } of layers) {
    const outputs = units.map((name) => {
      const z = new Float64Array(places);
      let bias = weights[at + inputs.length];
      for (const input of inputs) {
        const w = weights[at++];
        if (typeof input === "number") bias += w * input;
        else for (let p = 0; p < places; p += 1) z[p] += w * input[p];
      }
      at += 1;
      const f = name === "linear" ? (x) => x : FUNCTIONS[name];
      for (let p = 0; p < places; p += 1) z[p] = f(z[p] + bias);
      return z;
    });
    if (shared) softmax(outputs);
    all.push(outputs);
    inputs = outputs;
  }
  return all;
}

// ---- colours -------------------------------------------------------------------------------------------------------

const rgb = (hex) => [1, 3, 5].map((k) => parseInt(hex.trim().slice(k, k + 2), 16));
const GREY = [128, 128, 128]; // what is not a number
const mixed = ([r, g, b], color, share) => [r + share * (color[0] - r), g + share * (color[1] - g), b + share * (color[2] - b)];

// Paint a picture of cells, the first at the lower left, by a function from a cell to red, green and blue.
function paint(canvas, { across, up }, color) {
  if (canvas.width !== across || canvas.height !== up) Object.assign(canvas, { width: across, height: up });
  const context = canvas.getContext("2d");
  const image = context.createImageData(across, up);
  for (let p = 0; p < across * up; p += 1) {
    const to = 4 * (p + across * (up - 1 - 2 * Math.floor(p / across)));
    [image.data[to], image.data[to + 1], image.data[to + 2]] = color(p);
    image.data[to + 3] = 255;
  }
  context.putImageData(image, 0, 0);
}

function extent(numbers) {
  let [low, high] = [Infinity, -Infinity];
  for (const x of numbers) {
    if (x < low) low = x;
    if (x > high) high = x;
  }
  return [low, high];
}

const largest = (numbers) => Math.max(...extent(numbers).map(Math.abs)) || 1;

// Return the path along which the cells are 0, by marching squares, in cells from the upper left.
function contour(cells, { across, up }) {
  const path = [];
  for (let j = 0; j + 1 < up; j += 1) {
    for (let i = 0; i + 1 < across; i += 1) {
      const p = i + across * j;
      const above = (cells[p] > 0) + (cells[p + 1] > 0) + (cells[p + across] > 0) + (cells[p + across + 1] > 0);
      if (above % 4 === 0 || !Number.isFinite(cells[p] + cells[p + 1] + cells[p + across] + cells[p + across + 1])) continue;
      const corners = [[i, j], [i + 1, j], [i + 1, j + 1], [i, j + 1]];
      const height = corners.map(([x, y]) => cells[x + across * y]);
      const crossings = [];
      for (let k = 0; k < 4; k += 1) {
        const [a, b] = [height[k], height[(k + 1) % 4]];
        if (a > 0 === b > 0) continue;
        const share = a / (a - b);
        const [[x, y], [x2, y2]] = [corners[k], corners[(k + 1) % 4]];
        crossings.push(`${(x + share * (x2 - x) + 0.5).toFixed(2)} ${(up - 0.5 - y - share * (y2 - y)).toFixed(2)}`);
      }
      for (let k = 0; k + 1 < crossings.length; k += 2) path.push(`M${crossings[k]}L${crossings[k + 1]}`);
    }
  }
  return path.join("");
}

// Return the path through places, with a gap where there is none.
function polyline(spots) {
  let pen = "M";
  const step = (spot) => {
    const drawn = spot ? `${pen}${spot[0].toFixed(2)} ${spot[1].toFixed(2)}` : "";
    pen = spot ? "L" : "M";
    return drawn;
  };
  return spots.map(step).join("");
}

// ---- the page ------------------------------------------------------------------------------------------------------

export function mount(root, story) {
  const { layers, axes, low, high, means, features, classes, ranges, points, epochs, figures, losses } = story;
  const bytes = Uint8Array.from(atob(story.weights), (c) => c.charCodeAt(0));
  const numbers = new Float64Array(bytes.buffer);
  const size = numbers.length / epochs.length;
  const last = epochs.length - 1;
  const flat = axes.length === 1; // along one input: every row of a map is the same, and height stands for the output
  const detail = 2 * Math.min(Math.max(Math.floor(Math.sqrt(6e5 / size)), 12), 40); // cells along a side: a move is to take 50 ms at most
  const cells = flat ? { across: 200, up: 1 } : { across: detail, up: detail };
  const places = cells.across * cells.up;
  const small = { across: cells.across / 2, up: Math.ceil(cells.up / 2) }; // every other cell will do for a unit
  const coarse = (p) => 2 * (p % small.across) + 2 * cells.across * Math.floor(p / small.across);
  const inputs = means.map((mean, i) => {
    const n = axes.indexOf(i);
    if (n < 0) return mean;
    const count = n ? cells.up : cells.across;
    const along = (p) => ((n ? Math.floor(p / cells.across) : p % cells.across) + 0.5) / count;
    return Float64Array.from({ length: places }, (_, p) => low[n] + along(p) * (high[n] - low[n]));
  });
  const colors = story.colors.map(rgb);
  const [negative, positive] = colors;
  const colorOf = (k) => colors[k % colors.length];
  let position = last;
  let chosen = null; // the layer and number of the unit that is shown large; null for what the network gives
  let paper = [255, 255, 255];
  let all = [];

  // What is on the page.
  const heading = element("h2");
  const whole = element("button", { type: "button", class: "whole" }, "← back to the output");
  const legend = element("div", { class: "legend" });
  const map = element("canvas");
  const over = shape("svg", { viewBox: "0 0 1000 1000", "aria-hidden": true });
  const lines = shape("g", { class: "lines" });
  const dots = shape("g", { class: "dots" });
  over.append(lines, dots);
  const square = element("div", { class: "square", role: "img" }, map, over);
  const [top, bottom] = [element("span"), element("span")];
  const upward = element("div", { class: "upward" }, top, element("span", { class: "name" }), bottom);
  const [left, right] = [low[0], high[0]].map((x) => element("span", {}, number(x)));
  const rightward = element("div", { class: "rightward" }, left, element("span", { class: "name" }, features[axes[0]]), right);
  const frame = element("div", { class: "frame" }, upward, square, rightward);
  const title = element("div", { class: "title" }, heading, whole);
  const plot = element("section", { class: "plot", "aria-label": "what the network gives" }, title, legend, frame);

  const wires = shape("svg", { "aria-hidden": true });
  const diagram = element("div", { class: "diagram" }, wires);
  const scale = element("p", { class: "scale" });
  const responding = element("h2", {}, "Each unit’s response (click to enlarge)");
  const network = element("section", { class: "network", "aria-label": "the network's units" }, responding, diagram, scale);

  const epoch = element("h1");
  const list = element("ul");
  list.style.minHeight = `${1.4 * Math.max(...figures.map((texts) => texts.length), 1)}em`;
  const told = element("div", { class: "told", "aria-live": "polite" }, epoch, list);
  const curve = shape("svg", { role: "img", "aria-label": "loss by epoch" });
  const key = element("div", { class: "legend" });
  const texts = [story.model, "Keys: ← → one epoch, Home and End, space plays.", ...story.notes];
  const notes = element("details", {}, element("summary", {}, "About this page"), ...texts.map((text) => element("p", {}, text)));
  const losing = element("div", { class: "curve" }, curve);
  const side = element("section", { class: "side", "aria-label": "measured" }, told, key, losing, notes);

  const playing = player(root, {
    unit: "epoch", last, position, pace: Math.min(Math.max(12000 / (last + 1), 60), 600), show, told, // some twelve seconds in all
  });
  root.append(network, plot, side, playing.bar);

  const style = (part, rules) => Object.assign(part.style, rules);

  // ---- the units, in columns, and the lines between them

  const sizes = [means.length, ...layers.map((layer) => layer.units.length)];
  const drawn = sizes.map((n, layer) => {
    const first = layer ? [] : axes; // the inputs shown are never left out
    const others = Array.from({ length: n }, (_, k) => k).filter((k) => !first.includes(k));
    return [...first, ...others].slice(0, MOST_UNITS).sort((a, b) => a - b);
  });
  const units = drawn.map((each, layer) => each.map((k) => unit(layer, k)));
  const more = drawn.map((each, layer) => {
    const hidden = sizes[layer] - each.length;
    const note = element("span", { class: "more" }, hidden ? `+${hidden}` : "");
    note.title = hidden ? `${counted(hidden, "more unit")}, computed but not drawn` : "";
    diagram.append(note);
    return note;
  });
  const wiring = layers.map((_, layer) => units[layer + 1].map(() => units[layer].map(() => wires.appendChild(shape("path")))));

  function unit(layer, k) {
    const canvas = element("canvas");
    const label = element("span", {}, layer ? story.units[layer][k] : features[k]);
    const made = element("button", { type: "button", class: "unit", "aria-pressed": false }, canvas, label);
    made.onclick = () => {
      chosen = made.getAttribute("aria-pressed") === "true" ? null : [layer, k];
      playing.update();
    };
    diagram.append(made);
    return { k, made, canvas, label };
  }

  // Lay the columns out from left to right, or from top to bottom where it is narrow.
  function arrange() {
    const { clientWidth: width, clientHeight: height } = diagram;
    if (!width || !height) return;
    const down = width < height * 1.1 || (width < 420 && sizes.length <= 5);
    const most = Math.max(...drawn.map((each) => each.length)) + (more.some((note) => note.textContent) ? 2 : 0);
    const [along, across] = down ? [height, width] : [width, height];
    const text = 15;
    const pitch = Math.min(across / most, 80);
    const side = Math.max(Math.min(pitch - 5 - (down ? 0 : text), along / sizes.length - (down ? text + 9 : 26), 60), 12);
    const place = (layer, k, n) => {
      const main = (layer + 0.5) * (along / sizes.length);
      const other = across / 2 + (k - (n - 1) / 2) * pitch;
      return down ? [other, main] : [main, other];
    };
    units.forEach((column, layer) => column.forEach(({ made, canvas, label }, k) => {
      const [x, y] = place(layer, k, column.length);
      style(canvas, { width: `${side}px`, height: `${side}px` });
      label.hidden = pitch < 30;
      style(made, { left: `${x}px`, top: `${y}px`, maxWidth: `${down ? pitch : along / sizes.length - 8}px` });
    }));
    more.forEach((note, layer) => {
      const [x, y] = place(layer, units[layer].length, units[layer].length);
      style(note, { left: `${x}px`, top: `${y}px` });
    });
    wires.setAttribute("viewBox", `0 0 ${width} ${height}`);
    const reach = side / 2 + 3;
    wiring.forEach((layer, n) => layer.forEach((paths, k) => paths.forEach((path, i) => {
      const [x, y] = place(n, i, units[n].length);
      const [x2, y2] = place(n + 1, k, units[n + 1].length);
      const d = down
        ? `M${x} ${y + reach}C${x} ${(y + y2) / 2} ${x2} ${(y + y2) / 2} ${x2} ${y2 - reach}`
        : `M${x + reach} ${y}C${(x + x2) / 2} ${y} ${(x + x2) / 2} ${y2} ${x2 - reach} ${y2}`;
      path.setAttribute("d", d);
    })));
  }

  function wire(weights) {
    let at = 0;
    let most = 0;
    layers.forEach((layer, n) => {
      const fan = sizes[n];
      const here = layer.units.map((_, k) => weights.subarray(at + k * (fan + 1), at + k * (fan + 1) + fan));
      at += layer.units.length * (fan + 1);
      const top = Math.max(...here.map((each) => largest(each)));
      most = Math.max(most, top);
      wiring[n].forEach((paths, k) => paths.forEach((path, i) => {
        const w = here[drawn[n + 1][k]][drawn[n][i]];
        path.setAttribute("class", w > 0 ? "plus" : w < 0 ? "minus" : "none");
        path.style.strokeWidth = `${0.4 + 3.6 * (Math.abs(w) / top)}`;
      }));
    });
    const signs = [element("span", { class: "plus" }, "w > 0"), element("span", { class: "minus" }, "w < 0")];
    scale.replaceChildren(...signs, `thickest in each layer: its largest |w| (of all ${number(most)})`);
  }

  const response = (layer, k) => (layer ? all[layer - 1][k] : inputs[k]);
  const tone = (share, most) =>
    Number.isNaN(share) ? GREY : mixed(paper, share > 0 ? positive : negative, most * Math.min(Math.abs(share), 1));

  function thumbnails() {
    units.forEach((column, layer) => column.forEach(({ k, made, canvas }) => {
      const given = response(layer, k);
      const held = typeof given === "number";
      const top = held ? Math.abs(given) || 1 : largest(given);
      if (held) paint(canvas, { across: 1, up: 1 }, () => tone(given / top, 0.35));
      else paint(canvas, small, (p) => tone(given[coarse(p)] / top, 0.9));
      const activation = layer && (layers[layer - 1].softmax ? "softmax" : layers[layer - 1].units[k]);
      const what = layer ? `${story.units[layer][k]}, ${activation}` : `input ${features[k]}`;
      const [least, most] = held ? [given, given] : extent(given);
      const numbers = held ? `held at ${number(given)}` : least > most ? "not a number" : `${number(least)} to ${number(most)}`;
      made.title = `${what}: ${numbers}`;
      made.setAttribute("aria-label", `${made.title}; show it large`);
      made.setAttribute("aria-pressed", String(chosen !== null && chosen[0] === layer && chosen[1] === k));
      made.disabled = held;
    }));
  }

  // ---- the large map

  const outputs = () => all[layers.length - 1];

  // Return for each class the array of its scores: logits, or probabilities.
  function scores() {
    if (outputs().length > 1) return outputs();
    const [output] = outputs();
    return [story.probabilities ? output.map((p) => 1 - p) : new Float64Array(places), output];
  }

  // Return by how much each class leads the best of the others.
  function leads(given) {
    const all = given.map(() => new Float64Array(places));
    for (let p = 0; p < places; p += 1) {
      let [best, second] = given[0][p] >= given[1][p] ? [0, 1] : [1, 0];
      for (let k = 2; k < given.length; k += 1) {
        if (given[k][p] > given[best][p]) [best, second] = [k, best];
        else if (given[k][p] > given[second][p]) second = k;
      }
      for (let k = 0; k < given.length; k += 1) all[k][p] = given[k][p] - given[k === best ? second : best][p];
    }
    return all;
  }

  function regions() {
    const given = scores();
    const sure = given.map((each) => each.slice());
    if (!story.probabilities) softmax(sure);
    const even = 1 / sure.length;
    paint(map, cells, (p) => {
      let best = 0;
      for (let k = 1; k < sure.length; k += 1) if (sure[k][p] > sure[best][p]) best = k;
      if (Number.isNaN(sure[best][p])) return GREY;
      return mixed(paper, colorOf(best), 0.6 * Math.max(0, (sure[best][p] - even) / (1 - even)));
    });
    if (flat) return sure.slice(sure.length === 2 ? 1 : 0).forEach((each, k) => graph(each, 0, 1, sure.length === 2 ? 1 : k));
    const d = leads(given).slice(given.length === 2 ? 1 : 0).map((lead) => contour(lead, cells)).join("");
    lines.append(shape("path", { d, transform: `scale(${1000 / cells.across})` }));
  }

  const raised = (y) => (classes.length ? 950 - 900 * y : 1000 - 1000 * y); // y of the way up, where height is a number

  function graph(values, from, to, k) {
    const up = (y) => Math.min(Math.max(raised((y - from) / (to - from)), -1e4), 1e4); // of what is beyond, enough
    const spots = Array.from(values, (y, p) => [((p + 0.5) / cells.across) * 1000, up(y)]);
    const path = shape("path", { d: polyline(spots.map(([x, y]) => (Number.isNaN(y) ? null : [x, y]))) });
    if (k !== undefined && classes.length > 2) path.style.stroke = `rgb(${colorOf(k)})`;
    lines.append(path);
  }

  function large() {
    lines.replaceChildren();
    const output = chosen !== null && chosen[0] === layers.length ? chosen[1] : 0;
    const isOutput = chosen === null || (classes.length === 0 && chosen[0] === layers.length);
    let ends = [0, 1];
    if (isOutput && classes.length) regions();
    else {
      const given = isOutput ? outputs()[output] : response(...chosen);
      const most = largest(given);
      ends = isOutput ? ranges[output] : [-most, most];
      const [from, to] = ends;
      paint(map, cells, (p) => tone((2 * (given[p] - from)) / (to - from) - 1, 0.85));
      if (flat) graph(given, from, to);
    }
    dot(output, isOutput);
    const name = chosen === null ? "" : chosen[0] ? story.units[chosen[0]][chosen[1]] : features[chosen[1]];
    const outputName = outputs().length > 1 && !classes.length ? story.units[layers.length][output] : "Output";
    const what = chosen ? `Response of ${name}` : classes.length ? "Decision" : outputName;
    heading.textContent = means.length > 2 ? `${what} (other inputs at their means)` : what;
    heading.title = heading.textContent;
    whole.hidden = chosen === null;
    const names = axes.map((i) => features[i]).join(" and ");
    square.setAttribute("aria-label", `${heading.textContent} after epoch ${epochs[position]}, over ${names}, with ${counted(points.length, "example")}`);
    explain(isOutput, ends);
    const probability = classes.length === 2 ? `probability of ${classes[1]}` : "probability";
    const given = isOutput ? (classes.length ? probability : "output") : name;
    [bottom.textContent, top.textContent] = (flat ? ends : [low[1], high[1]]).map(number);
    upward.querySelector(".name").textContent = flat ? given : features[axes[1]];
  }

  function swatch(color, text) {
    const sample = element("i");
    style(sample, { background: `rgb(${color.map(Math.round)})` });
    return element("span", {}, sample, text);
  }

  function explain(isOutput, [from, to]) {
    if (isOutput && classes.length) legend.replaceChildren(...classes.map((name, k) => swatch(colorOf(k), name)));
    else {
      const middle = Math.abs(from + to) < 1e-9 * (to - from) ? 0 : (from + to) / 2; // rounding is not shown
      legend.replaceChildren(swatch(tone(-1, 0.85), number(from)), swatch(paper, number(middle)), swatch(tone(1, 0.85), number(to)));
    }
  }

  const circles = points.map(() => dots.appendChild(shape("circle", { r: points.length > 200 ? 11 : 15 })));

  function dot(output, isOutput) {
    points.forEach(([[x, y], target], k) => {
      const [from, to] = classes.length ? [0, 1] : ranges[output];
      const height = classes.length > 2 ? 1 : classes.length ? target : (target[output] - from) / (to - from);
      circles[k].setAttribute("cx", 1000 * x);
      circles[k].setAttribute("cy", flat ? raised(isOutput ? height : 0.03) : 1000 * (1 - y));
      const color = classes.length ? colorOf(target) : tone(2 * height - 1, 1);
      circles[k].style.fill = `rgb(${color.map(Math.round)})`;
    });
  }

  // ---- the loss

  const kinds = Object.keys(losses);
  key.append(...kinds.map((kind) => element("span", {}, element("i", { class: kind }), `${kind} loss`)));
  const marker = shape("g", { class: "marker" });
  let spot = () => [0, 0]; // where a loss is in the picture, by the place of its epoch
  let foot = 18; // where the lines end below

  function plotLosses() {
    const { clientWidth: width, clientHeight: height } = losing;
    if (!width || !height) return;
    curve.setAttribute("viewBox", `0 0 ${width} ${height}`);
    const finite = kinds.flatMap((kind) => losses[kind]).filter((loss) => loss !== null);
    const [least, most] = finite.length ? extent(finite) : [0, 1];
    const log = least > 0 && 100 * least < most;
    const [from, to] = log ? [Math.log(least), Math.log(most)] : [Math.min(0, least), most > least || most > 0 ? most : least + 1];
    const [left, right, top, bottom] = [8, width - 8, 18, height - 20];
    foot = bottom;
    spot = (n, loss) => {
      const [across, up] = [epochs[n] / (epochs[last] || 1), ((log ? Math.log(loss) : loss) - from) / (to - from || 1)];
      return [left + (right - left) * across, bottom - (bottom - top) * up];
    };
    const drawn = kinds.map((kind) => {
      const spots = losses[kind].map((loss, n) => (loss === null ? null : spot(n, loss)));
      return shape("path", { class: kind, d: polyline(spots) });
    });
    const texts = [
      [left, top - 6, "start", `${number(most)}${log ? " (log scale)" : ""}`],
      [left + 3, bottom - 4, "start", number(log ? least : from)],
      [left, height - 5, "start", "0"],
      [width / 2, height - 5, "middle", "epoch"],
      [right, height - 5, "end", String(epochs[last])],
    ].map(([x, y, anchor, text]) => shape("text", { x, y, "text-anchor": anchor }, text));
    curve.replaceChildren(shape("path", { class: "axes", d: `M${left} ${top}V${bottom}H${right}` }), ...drawn, marker, ...texts);
    mark();
  }

  function mark() {
    const [x] = spot(position, 1);
    const at = kinds.filter((kind) => losses[kind][position] !== null).map((kind) => {
      const [cx, cy] = spot(position, losses[kind][position]);
      return shape("circle", { cx, cy, r: 4 });
    });
    marker.replaceChildren(shape("path", { d: `M${x} 18V${foot}` }), ...at);
  }

  // ---- moving

  function show(to) {
    position = to;
    const weights = numbers.subarray(position * size, (position + 1) * size);
    all = responses(layers, weights, inputs, places);
    thumbnails();
    wire(weights);
    large();
    mark();
    const [now, total] = [epochs[position], epochs[last]].map((n) => n.toLocaleString("en"));
    const name = position ? `Epoch ${now} of ${total}` : "Before training";
    epoch.textContent = name;
    const texts = figures[position].length ? figures[position] : ["nothing measured yet"];
    list.replaceChildren(...texts.map((text) => element("li", {}, text)));
    return [`${epochs[position]} / ${epochs[last]}`, `${name}: ${texts.join(", ")}`];
  }

  whole.onclick = () => {
    chosen = null;
    playing.update();
    playing.focus();
  };
  function fit() {
    const side = Math.max(Math.min(frame.clientWidth - 26, frame.clientHeight - 22), 120);
    style(frame, { gridTemplateColumns: `22px ${side}px`, gridTemplateRows: `${side}px 20px` });
    arrange();
    plotLosses();
  }

  function dress() {
    paper = rgb(getComputedStyle(root).getPropertyValue("--sheet"));
    playing.update();
  }

  const resized = new ResizeObserver(fit);
  for (const part of [frame, diagram, losing]) resized.observe(part);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", dress);
  dress();
  fit();
}
