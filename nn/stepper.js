// Step through the events of a computation in its picture: one module, with player.js, for a page, a frame and a widget
// of a notebook.
//
// `mount(root, story, moved)` takes an element with the SVG of the graph in it (ids `node-K`, `edge-K-P`), a story of
//   name: what is differentiated; root: its number, null if it is not in the picture
//   labels: what the nodes are called, operands before results; a node may be a box that stands for many
//   events: [node, text, value] forwards, then [node, text, grad, parent, place of the line] backwards;
//     a box that stands for many has no number (null), a line within it no place (null)
//   note: what is folded
//   heat: whether a box has the colour of its gradient, which is not shown before the gradient is
//   position: where to start
// and a function to tell each position that the user goes to.
// Names come from users: they are only ever set as text.

const EACH = 900; // milliseconds a step lasts while playing
const RIM = 52; // pixels: there are the hints
const ARROWS = { left: "←", right: "→", top: "↑", bottom: "↓" };

export function mount(root, { name, root: result, labels, events, note, heat, position = 0 }, moved = () => {}) {
  const svg = root.querySelector("svg");
  const within = (id) => svg.querySelector(`[id="${id}"]`); // not by document: another stepper has the same ids
  const nodes = labels.map((_, k) => within(`node-${k}`));
  const numbers = nodes.map((node) => {
    const [what, data, , grad] = [...node.querySelectorAll("text")].slice(-4);
    return what.textContent === "data" ? [data, grad] : []; // what is not computed has none
  });
  const ranges = numbers.map((texts) => texts.map((text) => text.textContent));
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
  let lit = [];

  const heading = element("h1");
  const lines = element("ol");
  const story = element("section", { class: "story", "aria-live": "polite", "aria-label": "current step" }, heading, lines);
  const folded = element("p", { class: "note" }, note);
  folded.hidden = !note;
  const picture = element("div", { class: "picture", role: "group", "aria-label": "picture" }, svg);
  const hints = Object.keys(ARROWS).map((side) => [side, element("button", { type: "button", class: `hint ${side}` })]);
  const view = element("div", { class: "view" }, picture, ...hints.map(([, hint]) => hint));
  svg.setAttribute("role", "img");
  svg.setAttribute("aria-label", `computation graph of ${name}`);
  const playing = player(root, {
    unit: "step", last: events.length - 1, position, pace: EACH, show, moved, told: story,
  });
  root.append(view, folded, story, playing.bar);

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
      nodes[k].classList.toggle("cold", Boolean(heat) && grads[k] === "–");
      if (!value) return;
      if (value.textContent !== values[k]) value.textContent = values[k]; // most stay, and to write them takes long
      if (grad.textContent !== grads[k]) grad.textContent = grads[k];
    });
    return grads;
  }

  function show(to) {
    position = to;
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
    reachable(lines);
    follow();
    return [`${position + 1} / ${events.length}`, `${position + 1} of ${events.length}`];
  }

  // What is larger than its place can be scrolled by keys, too.
  function reachable(part) {
    if (part.scrollWidth > part.clientWidth || part.scrollHeight > part.clientHeight) part.tabIndex = 0;
    else part.removeAttribute("tabindex");
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
        playing.focus();
      };
    }
  }

  function fit() {
    const { width, height } = svg.viewBox.baseVal;
    const scale = Math.min((picture.clientWidth - 16) / width, (picture.clientHeight - 16) / height);
    svg.style.width = `${width * (scale < 1 ? 1.2 : Math.min(scale, 2.2))}px`; // what can't be read is scrolled instead
    svg.style.height = "auto";
    reachable(picture);
    follow();
  }

  picture.onscroll = hint;
  const sizes = new ResizeObserver(fit);
  sizes.observe(picture);
  playing.update();
  return {
    goto: playing.goto,
    destroy() {
      playing.stop();
      sizes.disconnect();
    },
  };
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
