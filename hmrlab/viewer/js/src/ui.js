// Small pieces of the page.

let numbers = 0;
export const unique = (name) => `hmr-${name}-${(numbers += 1)}`;

// An element: h("button", {title, onclick, "aria-label": …}, children…)
export function h(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "value" || name === "checked") element[name] = value;
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

const ICONS = {
  home: "M3 9.5 10 3l7 6.5M5 8v9h10V8M8.5 17v-5h3v5",
  wire: "M10 2 3 7v6l7 5 7-5V7zM3 7l7 4 7-4M10 11v7M3 13l7-2 7 2",
  bones: "M10 3v8M4 7l6-1 6 1M10 11l-3.5 6M10 11l3.5 6M10 3.2v-.4",
  floor: "M2 15l4-7h8l4 7zM10 8v7M4.2 11.3h11.6",
  photo: "M3 4h14v12H3zM3 13l4-4 3.5 3.5L13 10l4 4M13 7.2v-.1",
  beside: "M3 4h6v12H3zM11 4h6v12h-6z",
  overlay: "M3 3h10v10H3zM7 7h10v10H7z",
  plus: "M10 4v12M4 10h12",
  minus: "M4 10h12",
  play: "M6 3.5 16 10 6 16.5z",
  pause: "M6 4v12M14 4v12",
  back: "M13 4 6 10l7 6",
  next: "M7 4l7 6-7 6",
};

export function icon(name) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("viewBox", "0 0 20 20");
  svg.setAttribute("aria-hidden", "true");
  const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
  path.setAttribute("d", ICONS[name]);
  svg.append(path);
  return svg;
}

export function button(name, label, onclick, extra = {}) {
  return h("button", { type: "button", title: label, "aria-label": label, onclick, ...extra }, icon(name));
}

// A button that stays down; `set` moves it without telling anybody.
export function toggle(name, label, onchange) {
  const element = button(name, label, () => {
    set(element.getAttribute("aria-pressed") !== "true");
    onchange(element.getAttribute("aria-pressed") === "true");
  });
  const set = (down) => element.setAttribute("aria-pressed", String(Boolean(down)));
  set(false);
  return { element, set };
}

export function select(label, options, onchange) {
  const element = h(
    "select", { "aria-label": label, title: label, onchange: () => onchange(element.value) },
    ...options.map(([value, text]) => h("option", { value }, text)),
  );
  return element;
}

// A labelled range with its number beside it; the range grows to hold a value from elsewhere.
export function slider({ label, unit, spoken, least, most, step, digits = 0, oninput }) {
  const id = unique("slider");
  const number = h("output", { for: id });
  const input = h("input", {
    type: "range", id, min: least, max: most, step, value: 0,
    oninput: () => {
      say(Number(input.value));
      oninput(Number(input.value));
    },
    ondblclick: () => {
      set(0);
      oninput(0);
    },
  });
  const say = (value) => {
    number.textContent = `${value.toFixed(digits)}${unit}`.replace("-0°", "0°").replace("-", "−");
    input.setAttribute("aria-valuetext", `${value.toFixed(digits)} ${spoken}`);
  };
  const set = (value) => {
    if (value < Number(input.min)) input.min = Math.floor(value);
    if (value > Number(input.max)) input.max = Math.ceil(value);
    input.value = value;
    say(value);
  };
  set(0);
  const text = h("label", { for: id }, label);
  const row = h("div", { class: "hmr-slider" }, text, input, number);
  return { row, set, input, rename: (name) => (text.textContent = name) };
}

// "dark" or "light", as Jupyter, VS Code or the system says.
export function theme() {
  const { body } = document;
  if (body.dataset.jpThemeLight) return body.dataset.jpThemeLight === "false" ? "dark" : "light";
  if (body.dataset.vscodeThemeKind) {
    return body.dataset.vscodeThemeKind.includes("light") ? "light" : "dark";
  }
  return matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";
}

export function watchTheme(changed) {
  const watcher = new MutationObserver(changed);
  watcher.observe(document.body, {
    attributes: true, attributeFilter: ["data-jp-theme-light", "data-vscode-theme-kind"],
  });
  const media = matchMedia("(prefers-color-scheme: dark)");
  media.addEventListener("change", changed);
  return () => {
    watcher.disconnect();
    media.removeEventListener("change", changed);
  };
}
