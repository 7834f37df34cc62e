// The door: `mount` for a widget, `page` for documents without a kernel.

import style from "./style.css";
import { fromBase64, unpack } from "./pack.js";
import { pageRenderer } from "./renderer.js";
import { h, theme } from "./ui.js";
import { Viewer } from "./viewer.js";

export { jointHeat } from "./heat.js";

const bodies = new Map(); // digest -> promise of an unpacked body, for all viewers of the page

// model: get, set, save_changes, on, off as a widget's; fetchBody: digest -> promise of its bytes.
// Returns what takes the viewer away again.
export function mount(model, element, fetchBody) {
  addStyle();
  const root = h("div", {
    class: "hmr", "data-lm-suppress-shortcuts": "true", role: "region",
    "aria-label": model.get("_scene").title || "body viewer",
  });
  element.append(root);
  root.dataset.theme = theme();
  const addresses = [];
  const address = (view) => {
    if (!view || !view.byteLength) return "";
    const bytes = new Uint8Array(view.buffer ?? view, view.byteOffset ?? 0, view.byteLength);
    addresses.push(URL.createObjectURL(new Blob([bytes.slice()])));
    return addresses.at(-1);
  };
  const poster = address(model.get("_poster"));
  let viewer = null, gone = false;

  const open = async () => {
    if (!pageRenderer()) {
      still(root, poster, "This browser shows no 3D (WebGL 2 is missing or switched off), so here "
        + "is a picture. Another browser, or its hardware acceleration, may help.", "alert");
      return;
    }
    root.classList.add("hmr-loading");
    try {
      const digests = model.get("_scene").bodies;
      const packs = await Promise.all(digests.map((digest) => load(digest, fetchBody)));
      if (gone) return;
      viewer = new Viewer(model, root, packs, model.get("_pictures").map(address));
      root.hmrlab = viewer;
    } catch (error) {
      still(root, poster, `The viewer could not start: ${error.message}.`, "alert");
    } finally {
      root.classList.remove("hmr-loading");
    }
  };
  if (model.get("_start") === "picture") invite(root, poster, open);
  else {
    if (poster) still(root, poster, "");
    open();
  }
  return () => {
    gone = true;
    viewer?.dispose(model);
    addresses.forEach((one) => URL.revokeObjectURL(one));
    root.remove();
  };
}

function load(digest, fetchBody) {
  if (!bodies.has(digest)) {
    const found = fetchBody(digest).then(unpack);
    found.catch(() => bodies.delete(digest)); // so that the next one may try again
    bodies.set(digest, found);
  }
  return bodies.get(digest);
}

// Picture first: the viewer behind it starts at a click.
function invite(root, poster, open) {
  const door = h(
    "button", { type: "button", class: "hmr-door", onclick: open },
    poster ? h("img", { src: poster, alt: "" }) : null,
    h("span", {}, "turn it in 3D"),
  );
  root.replaceChildren(door);
}

function still(root, poster, words, role) {
  root.replaceChildren(h(
    "figure", { class: "hmr-still" },
    ...(poster ? [h("img", { src: poster, alt: "a still picture of the bodies" })] : []),
    ...(words ? [h("figcaption", { role }, words)] : []),
  ));
}

function addStyle() {
  if (document.getElementById("hmrlab-style")) return;
  const element = document.createElement("style");
  element.id = "hmrlab-style";
  element.textContent = style;
  document.head.append(element);
}

// A widget's model without a widget: values in the page, told to whoever listens.
class PageModel {
  constructor(values) {
    this.values = values;
    this.listeners = new Map();
  }

  get(name) {
    return this.values[name];
  }

  set(name, value) {
    if (Object.is(this.values[name], value)) return;
    this.values[name] = value;
    for (const listener of this.listeners.get(`change:${name}`) ?? []) listener();
  }

  on(event, listener) {
    if (!this.listeners.has(event)) this.listeners.set(event, new Set());
    this.listeners.get(event).add(listener);
  }

  off(event, listener) {
    this.listeners.get(event)?.delete(listener);
  }

  save_changes() {}
}

// Bytes stand in a page's JSON as {"base64": …}.
function revive(value) {
  if (Array.isArray(value)) return value.map(revive);
  if (value === null || typeof value !== "object") return value;
  if (typeof value.base64 === "string") return new DataView(fromBase64(value.base64).buffer);
  return Object.fromEntries(Object.entries(value).map(([name, one]) => [name, revive(one)]));
}

// Starts all viewers of a document: elements with `data-hmrlab`, the id of a JSON script. The
// document's bodies stand in scripts with the ids `hmrlab-body-DIGEST`, or in `hmrlabBodies`.
export function page() {
  const fetchBody = async (digest) => {
    const text = document.getElementById(`hmrlab-body-${digest}`)?.textContent
      ?? globalThis.hmrlabBodies?.[digest];
    if (!text) throw new Error(`the page lacks the body ${digest}`);
    return fromBase64(text.trim());
  };
  for (const element of document.querySelectorAll("[data-hmrlab]")) {
    const values = JSON.parse(document.getElementById(element.dataset.hmrlab).textContent);
    element.replaceChildren();
    mount(new PageModel(revive(values)), element, fetchBody);
  }
}
