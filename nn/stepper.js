// Step through the events of a computation in its picture: one module for a page and for a frame in a notebook.
//
// `mount(root, story)` takes an element with the SVG of the graph in it (ids `node-K`, `edge-K-P`) and
//   labels: what the nodes are called, in topological order
//   events: [node, text, value] forwards, then [node, text, grad, parent, place of the parent] backwards
//   position: where to start.
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

export function mount(root, { labels, events, position = 0 }) {
  const svg = root.querySelector("svg");
  const within = (id) => svg.querySelector(`[id="${id}"]`); // not by document: another stepper has the same ids
  const nodes = labels.map((_, k) => within(`node-${k}`));
  const numbers = nodes.map((node) => [...node.querySelectorAll("text")].filter((_, i, all) => i === all.length - 3 || i === all.length - 1));
  const last = events.length - 1;
  const name = labels[labels.length - 1];
  let timer = 0;
  let lit = [];

  const [first, back, play, next, end] = ["first step", "back", "play", "next", "last step"].map(button);
  const slider = element("input", { type: "range", min: 0, max: last, "aria-label": "step" });
  const count = element("output", { class: "count" });
  const heading = element("h1");
  const lines = element("ol");
  const story = element("section", { class: "story", "aria-live": "polite", "aria-label": "current step" }, heading, lines);
  const picture = element("div", { class: "picture" }, svg);
  const bar = element("div", { class: "bar", role: "toolbar", "aria-label": "steps" }, first, back, play, next, end, slider, count);
  svg.setAttribute("role", "img");
  svg.setAttribute("aria-label", `computation graph of ${name}`);
  root.tabIndex = 0;
  root.append(picture, story, bar);

  const light = (part, ...classes) => {
    part.classList.add(...classes);
    lit.push([part, classes]);
  };

  // Write into the boxes what is known by now.
  function fill() {
    const values = labels.map(() => "–");
    const grads = labels.map(() => "–");
    if (events[position].length > 3) grads[grads.length - 1] = "1";
    for (const [node, , number, parent] of events.slice(0, position + 1)) {
      if (parent === undefined) values[node] = number;
      else grads[parent] = number;
    }
    numbers.forEach(([value, grad], k) => {
      value.textContent = values[k];
      grad.textContent = grads[k];
      nodes[k].classList.toggle("waiting", values[k] === "–");
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
      for (const event of events.slice(begin, position)) light(within(`edge-${node}-${event[4]}`), "seen");
      light(within(`edge-${node}-${place}`), "lit", "backward");
      light(nodes[parent], "receiving");
    } else {
      for (let p = 0, edge; (edge = within(`edge-${node}-${p}`)); p += 1) light(edge, "lit", "forward");
    }
    heading.textContent = backward
      ? `Backward through ${labels[node]}: ∂${name}/∂${labels[node]} = ${grads[node]}`
      : `Forward: ${labels[node]}`;
    story.className = `story ${backward ? "backward" : "forward"}`;
    lines.replaceChildren(...events.slice(begin, position + 1).map(([, text]) => element("li", {}, text)));
    lines.lastChild.setAttribute("aria-current", "step");
    lines.scrollTop = lines.scrollHeight;
    slider.value = position;
    slider.setAttribute("aria-valuetext", `${position + 1} of ${events.length}`);
    count.textContent = `${position + 1} / ${events.length}`;
    first.disabled = back.disabled = position === 0;
    next.disabled = end.disabled = position === last;
    root.dataset.position = position;
    follow();
  }

  // Keep the current nodes in sight, or the first of them, without moving the page around.
  function follow() {
    const [node, , , parent] = events[position];
    const frame = picture.getBoundingClientRect();
    const box = nodes[node].getBoundingClientRect();
    const other = nodes[parent ?? node].getBoundingClientRect();
    for (const [start, end, size, scroll] of [["left", "right", "width", "scrollLeft"], ["top", "bottom", "height", "scrollTop"]]) {
      let [from, to] = [Math.min(box[start], other[start]), Math.max(box[end], other[end])];
      if (to - from > frame[size]) [from, to] = [box[start], box[end]];
      if (from < frame[start] || to > frame[end]) picture[scroll] += (from + to) / 2 - (frame[start] + frame[end]) / 2;
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
  const sizes = new ResizeObserver(fit);
  sizes.observe(picture);
  show();
  return {
    goto: go,
    destroy() {
      stop();
      sizes.disconnect();
    },
  };
}

export function start(root) {
  mount(root, JSON.parse(root.querySelector("script").textContent));
  if (window.top === window) root.focus(); // in a notebook, the focus is not ours to take
}
