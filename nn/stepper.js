// Step through the events of a computation in its picture: one module for a page, a frame and a widget of a notebook.
//
// `mount(root, story, moved)` takes an element with the SVG of the graph in it (ids `node-K`, `edge-K-P`), a story of
//   name: what is differentiated; root: its number, null if it is not in the picture
//   labels: what the nodes are called, operands before results; a node may be a box that stands for many
//   events: [node, text, value] forwards, then [node, text, grad, parent, place of the line] backwards;
//     a box that stands for many has no number (null), a line within it no place (null)
//   note: what is folded
//   position: where to start
// and a function to tell each position that the user goes to.
// Names come from users: they are only ever set as text.

const EACH = 900; // milliseconds a step lasts while playing

function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

const ICONS = {
  "first step": "M4 4h2.5v12H4zM16 4v12L7.5 10z",
  back: "M14 4v12L5.5 10z",
  play: "M5 3v14l12-7z",
  pause: "M5 4h3.5v12H5zM11.5 4H15v12h-3.5z",
  next: "M6 4v12l8.5-6z",
  "last step": "M13.5 4H16v12h-2.5zM4 4v12l8.5-6z",
};

// Drawn, since few fonts have these signs.
function call(button, label) {
  const icon = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
  for (const [name, value] of Object.entries({ viewBox: "0 0 20 20", width: 20, height: 20, "aria-hidden": true })) icon.setAttribute(name, value);
  path.setAttribute("d", ICONS[label]);
  icon.append(path);
  button.replaceChildren(icon);
  button.title = label;
  button.setAttribute("aria-label", label);
}

function button(label) {
  const made = element("button", { type: "button" });
  call(made, label);
  return made;
}

const RIM = 52; // pixels: there are the hints
const ARROWS = { left: "←", right: "→", top: "↑", bottom: "↓" };

export function mount(root, { name, root: result, labels, events, note, position = 0 }, moved = () => {}) {
  const svg = root.querySelector("svg");
  const within = (id) => svg.querySelector(`[id="${id}"]`); // not by document: another stepper has the same ids
  const nodes = labels.map((_, k) => within(`node-${k}`));
  const numbers = nodes.map((node) => {
    const [what, data, , grad] = [...node.querySelectorAll("text")].slice(-4);
    return what.textContent === "data" ? [data, grad] : []; // what is not computed has none
  });
  const ranges = numbers.map((texts) => texts.map((text) => text.textContent));
  const last = events.length - 1;
  const begins = labels.map(() => -1); // the step at which a node is first computed
  const operands = labels.map(() => new Set());
  const computed = []; // the step after which all of it is known
  const differentiated = [];
  const single = []; // not a box that stands for many
  events.forEach(([node, , number, parent], step) => {
    if (parent === undefined) {
      if (begins[node] < 0) begins[node] = step;
      computed[node] = step;
      single[node] = number !== null;
    } else {
      operands[node].add(parent);
      differentiated[parent] = step;
    }
  });
  let timer = 0;
  let lit = [];

  const [first, back, play, next, end] = ["first step", "back", "play", "next", "last step"].map(button);
  const slider = element("input", { type: "range", min: 0, max: last, "aria-label": "step" });
  const count = element("output", { class: "count" });
  const heading = element("h1");
  const lines = element("ol");
  const story = element("section", { class: "story", "aria-live": "polite", "aria-label": "current step" }, heading, lines);
  const folded = element("p", { class: "note" }, note);
  folded.hidden = !note;
  const picture = element("div", { class: "picture" }, svg);
  const hints = Object.keys(ARROWS).map((side) => [side, element("button", { type: "button", class: `hint ${side}` })]);
  const view = element("div", { class: "view" }, picture, ...hints.map(([, hint]) => hint));
  const bar = element("div", { class: "bar", role: "toolbar", "aria-label": "steps" }, first, back, play, next, end, slider, count);
  svg.setAttribute("role", "img");
  svg.setAttribute("aria-label", `computation graph of ${name}`);
  root.tabIndex = 0;
  root.dataset.lmSuppressShortcuts = true; // JupyterLab takes the arrow keys otherwise
  root.append(view, folded, story, bar);

  // Keys go on to work when the button that was pressed goes away.
  const focus = () => root.focus({ preventScroll: true });

  const light = (part, ...classes) => {
    part.classList.add(...classes);
    lit.push([part, classes]);
  };

  // Write into the boxes what is known by now.
  function fill() {
    const values = labels.map(() => "–");
    const grads = labels.map(() => "–");
    if (events[position].length > 3) grads[result] = "1";
    events.slice(0, position + 1).forEach(([node, , number, parent], step) => {
      if (parent === undefined) values[node] = number ?? (step < computed[node] ? "…" : ranges[node][0]);
      else grads[parent] = number ?? (step < differentiated[parent] ? "…" : ranges[parent][1]);
    });
    numbers.forEach(([value, grad], k) => {
      nodes[k].classList.toggle("waiting", begins[k] > position);
      if (!value) return;
      value.textContent = values[k];
      grad.textContent = grads[k];
    });
    return grads;
  }

  function show() {
    for (const [part, classes] of lit) part.classList.remove(...classes);
    lit = [];
    const grads = fill();
    const [node, , , parent, place] = events[position];
    const backward = parent !== undefined;
    light(nodes[node], "lit", backward ? "backward" : "forward");
    let begin = position; // the step at which this node's turn began
    if (backward) {
      while (events[begin - 1][0] === node && events[begin - 1].length > 3) begin -= 1;
      for (const event of events.slice(begin, position)) if (event[4] !== null) light(within(`edge-${node}-${event[4]}`), "seen");
      if (place !== null) light(within(`edge-${node}-${place}`), "lit", "backward");
      if (parent !== node) light(nodes[parent], "receiving");
    } else {
      for (const edge of svg.querySelectorAll(`[id^="edge-${node}-"]`)) light(edge, "lit", "forward");
    }
    const known = single[node] ? `: ∂${name}/∂${labels[node]} = ${grads[node]}` : "";
    heading.textContent = backward ? `Backward through ${labels[node]}${known}` : `Forward: ${labels[node]}`;
    story.className = `story ${backward ? "backward" : "forward"}`;
    lines.replaceChildren(...events.slice(begin, position + 1).map(([, text]) => element("li", {}, text)));
    lines.lastChild.setAttribute("aria-current", "step");
    lines.scrollTop = lines.scrollHeight;
    slider.value = position;
    slider.setAttribute("aria-valuetext", `${position + 1} of ${events.length}`);
    count.textContent = `${position + 1} / ${events.length}`;
    first.disabled = back.disabled = position === 0;
    next.disabled = end.disabled = position === last;
    if (root.querySelector("button:disabled:focus")) focus();
    root.dataset.position = position;
    follow();
  }

  // The nodes at both ends of the lit edges; the first is where something changes.
  function ends() {
    const [node, , , parent] = events[position];
    return parent === undefined ? [node, ...operands[node]] : [parent, node];
  }

  // Bring these nodes in sight, or the first of them if they are too far apart, without moving the page around.
  function reveal(...shown) {
    const frame = picture.getBoundingClientRect();
    const boxes = shown.map((k) => nodes[k].getBoundingClientRect());
    for (const [start, end, size, scroll] of [["left", "right", "width", "scrollLeft"], ["top", "bottom", "height", "scrollTop"]]) {
      let [from, to] = [Math.min(...boxes.map((box) => box[start])), Math.max(...boxes.map((box) => box[end]))];
      if (to - from > frame[size]) [from, to] = [boxes[0][start], boxes[0][end]];
      if (from < frame[start] + RIM || to > frame[end] - RIM) picture[scroll] += (from + to) / 2 - (frame[start] + frame[end]) / 2;
    }
    hint();
  }

  function follow() {
    const [node, , , parent] = events[position];
    reveal(...(parent === undefined ? [node] : [parent, node]));
  }

  // Say at the rim which ends of the lit edges are beyond it; a click goes there.
  function hint() {
    const frame = picture.getBoundingClientRect();
    const beyond = { top: [], bottom: [], left: [], right: [] };
    for (const k of new Set(ends())) {
      const box = nodes[k].getBoundingClientRect();
      if (box.bottom <= frame.top) beyond.top.push(k);
      else if (box.top >= frame.bottom) beyond.bottom.push(k);
      else if (box.right <= frame.left) beyond.left.push(k);
      else if (box.left >= frame.right) beyond.right.push(k);
    }
    for (const [side, button] of hints) {
      const [first, ...more] = beyond[side];
      button.hidden = first === undefined;
      button.textContent = `${ARROWS[side]} ${more.length ? `${more.length + 1} operands` : labels[first]}`;
      button.onclick = () => {
        reveal(first);
        focus();
      };
    }
  }

  function fit() {
    const { width, height } = svg.viewBox.baseVal;
    const scale = Math.min((picture.clientWidth - 16) / width, (picture.clientHeight - 16) / height);
    svg.style.width = `${width * (scale < 1 ? 1.2 : Math.min(scale, 2.2))}px`; // what can't be read is scrolled instead
    svg.style.height = "auto";
    follow();
  }

  function stop() {
    clearInterval(timer);
    timer = 0;
    playing(false);
  }

  function playing(yes) {
    call(play, yes ? "pause" : "play");
    story.setAttribute("aria-live", yes ? "off" : "polite"); // nobody can listen that fast
  }

  function move(to) {
    position = Math.min(Math.max(to, 0), last);
    show();
    moved(position);
  }

  function go(to) {
    stop();
    move(to);
  }

  function toggle() {
    if (timer) return stop();
    if (position === last) move(0);
    playing(true);
    timer = setInterval(() => {
      if (position < last) move(position + 1);
      if (position === last) stop();
    }, EACH);
  }

  first.onclick = () => go(0);
  back.onclick = () => go(position - 1);
  play.onclick = toggle;
  next.onclick = () => go(position + 1);
  end.onclick = () => go(last);
  slider.oninput = () => go(Number(slider.value));
  const keys = {
    ArrowRight: () => go(position + 1),
    ArrowLeft: () => go(position - 1),
    Home: () => go(0),
    End: () => go(last),
    " ": toggle,
  };
  root.addEventListener("keydown", (event) => {
    if (event.altKey || event.ctrlKey || event.metaKey || !(event.key in keys)) return;
    if (event.key === " " && event.target.tagName === "BUTTON") return; // which presses the button
    event.preventDefault();
    event.stopPropagation(); // a notebook has its own use for these keys
    keys[event.key]();
  });
  picture.onscroll = hint;
  const sizes = new ResizeObserver(fit);
  sizes.observe(picture);
  show();
  return {
    goto: (to) => to === position || go(to),
    destroy() {
      stop();
      sizes.disconnect();
    },
  };
}

// In a page.
export function start(root) {
  mount(root, JSON.parse(root.querySelector("script").textContent));
  if (window.top === window) root.focus(); // in a notebook, the focus is not ours to take
}

// In a widget: `step` is the same in Python, here, and in every other view.
export default {
  render({ model, el }) {
    const { svg, height, ...story } = model.get("story");
    const root = element("div", { class: "stepper", style: `height: ${height}px` });
    root.append(document.importNode(new DOMParser().parseFromString(svg, "image/svg+xml").documentElement, true));
    el.append(root);
    const stepper = mount(root, { ...story, position: model.get("step") }, (position) => {
      if (position === model.get("step")) return; // it is Python that moved
      model.set("step", position);
      model.save_changes();
    });
    const moved = () => stepper.goto(model.get("step"));
    model.on("change:step", moved);
    return () => {
      model.off("change:step", moved);
      stepper.destroy();
    };
  },
};
