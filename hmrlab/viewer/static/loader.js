// What each widget carries: it fetches the viewer itself from the kernel once for the page, so that
// ten viewers do not bring the same 600 KB ten times, and a saved notebook holds none of it.

const scripts = (globalThis.hmrlabScripts ??= new Map());

function ask(model, what) {
  return new Promise((resolve) => {
    const answered = (message, buffers) => {
      if (message.answer !== what.ask || message.digest !== what.digest) return;
      model.off("msg:custom", answered);
      resolve(buffers[0]);
    };
    model.on("msg:custom", answered);
    model.send(what);
  });
}

const asBytes = (view) => new Uint8Array(view.buffer ?? view, view.byteOffset ?? 0, view.byteLength);

async function script(model) {
  const digest = model.get("_script");
  if (!scripts.has(digest)) {
    const loaded = ask(model, { ask: "script", digest }).then((view) => {
      const parts = [asBytes(view).slice(), "\nexport default hmrlabViewer;"];
      const address = URL.createObjectURL(new Blob(parts, { type: "text/javascript" }));
      return import(/* webpackIgnore: true */ address)
        .then((module) => module.default)
        .finally(() => URL.revokeObjectURL(address));
    });
    loaded.catch(() => scripts.delete(digest));
    scripts.set(digest, loaded);
  }
  return scripts.get(digest);
}

// Until the kernel has time to answer, the picture stands in.
function wait(model, el) {
  const view = model.get("_poster");
  if (!view || !view.byteLength) return () => {};
  const image = document.createElement("img");
  image.alt = "a still picture of the bodies; the viewer starts when the kernel answers";
  image.style.maxWidth = "100%";
  image.src = URL.createObjectURL(new Blob([asBytes(view).slice()]));
  el.append(image);
  return () => {
    URL.revokeObjectURL(image.src);
    image.remove();
  };
}

async function render({ model, el }) {
  const done = wait(model, el);
  const viewer = await script(model);
  done();
  const fetchBody = (digest) => ask(model, { ask: "body", digest }).then(asBytes);
  return viewer.mount(model, el, fetchBody);
}

export default { render };
