// What plays: the buttons, the slider and the keys of a page. It stands before the page's own script, in one module.

export function element(tag, attributes = {}, ...children) {
  return made(document.createElement(tag), attributes, children);
}

export function shape(tag, attributes = {}, ...children) {
  return made(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes, children);
}

function made(part, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) part.setAttribute(name, value);
  part.append(...children);
  return part;
}

const ICONS = {
  first: "M4 4h2.5v12H4zM16 4v12L7.5 10z",
  back: "M14 4v12L5.5 10z",
  play: "M5 3v14l12-7z",
  pause: "M5 4h3.5v12H5zM11.5 4H15v12h-3.5z",
  next: "M6 4v12l8.5-6z",
  last: "M13.5 4H16v12h-2.5zM4 4v12l8.5-6z",
};

// Drawn, since few fonts have these signs.
function call(button, label) {
  const path = shape("path", { d: ICONS[label.split(" ")[0]] });
  button.replaceChildren(shape("svg", { viewBox: "0 0 20 20", width: 20, height: 20, "aria-hidden": true }, path));
  button.title = label;
  button.setAttribute("aria-label", label);
}

function button(label) {
  const button = element("button", { type: "button" });
  call(button, label);
  return button;
}

// `player(root, options)` makes what moves through the positions from 0 to `last`:
//   unit: what one of them is, in words; position: where to start; pace: milliseconds for each while playing
//   show: told each position, to show it and return [its number among all, what a screen reader says]
//   moved: told each position that the user goes to
//   told: the element that speaks to screen readers; it is silent while playing
// It returns the `bar`, to be put somewhere, and functions.
export function player(root, { unit, last, position, pace, show, moved = () => {}, told }) {
  const [first, back, play, next, end] = [`first ${unit}`, "back", "play", "next", `last ${unit}`].map(button);
  const slider = element("input", { type: "range", min: 0, max: last, "aria-label": unit });
  const count = element("output", { class: "count" });
  const bar = element("div", { class: "bar", role: "toolbar", "aria-label": `${unit}s` }, first, back, play, next, end, slider, count);
  let timer = 0;
  root.tabIndex = 0;
  root.dataset.lmSuppressShortcuts = true; // JupyterLab takes the arrow keys otherwise

  // Keys go on to work when the button that was pressed goes away.
  const focus = () => root.focus({ preventScroll: true });

  function update() {
    const [number, spoken] = show(position);
    slider.value = position;
    slider.setAttribute("aria-valuetext", spoken);
    count.textContent = number;
    first.disabled = back.disabled = position === 0;
    next.disabled = end.disabled = position === last;
    if (root.querySelector("button:disabled:focus")) focus();
    root.dataset.position = position;
  }

  function playing(yes) {
    call(play, yes ? "pause" : "play");
    told.setAttribute("aria-live", yes ? "off" : "polite"); // nobody can listen that fast
  }

  function stop() {
    clearInterval(timer);
    timer = 0;
    playing(false);
  }

  function move(to) {
    position = Math.min(Math.max(to, 0), last);
    update();
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
    }, pace);
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
    if (event.key === " " && ["BUTTON", "SUMMARY"].includes(event.target.tagName)) return; // which presses the button
    event.preventDefault();
    event.stopPropagation(); // a notebook has its own use for these keys
    keys[event.key]();
  });
  return { bar, focus, stop, update, goto: (to) => to === position || go(to) };
}

// Mount what the script of a page shows.
export function start(root, mount) {
  mount(root, JSON.parse(root.querySelector("script").textContent));
  if (window.top === window) root.focus(); // in a notebook, the focus is not ours to take
}
