// A viewer's numbers: what is shown now, and all that can be shown.

const ARRAYS = ["pose", "betas", "translation"];
const WIDTHS = { pose: 72, betas: 10, translation: 3 };

export class State {
  constructor(model) {
    this.model = model;
    this.scene = model.get("_scene");
    for (const name of ARRAYS) this.read(name);
    this.takes = floats(model.get("_takes"));
  }

  get joint() {
    return this.model.get("joint");
  }

  get(name) {
    return this.model.get(name);
  }

  // Values that others should know of, too.
  tell(values) {
    for (const [name, value] of Object.entries(values)) this.model.set(name, value);
    this.model.save_changes();
  }

  read(name) {
    const count = this.scene.figures.length * WIDTHS[name];
    const given = floats(this.model.get(name).data);
    if (this[name]?.length === count) this[name].set(given);
    else this[name] = given;
  }

  // Our numbers to the others; `values` go with them.
  send(names, values = {}) {
    for (const name of names) {
      const data = new DataView(Float32Array.from(this[name]).buffer);
      this.model.set(name, { shape: this.model.get(name).shape, data });
    }
    this.tell(values);
  }

  choose(joint) {
    this.tell({ joint });
  }

  // The numbers of a person at a step, if the viewer has more than one of either.
  go(person, step) {
    const { shape: [people, steps, figures] } = this.scene;
    if (people * steps < 2) return false;
    const each = WIDTHS.pose + WIDTHS.betas + WIDTHS.translation;
    let at = (person * steps + step) * figures * each;
    for (let f = 0; f < figures; f++) {
      for (const name of ARRAYS) {
        this[name].set(this.takes.subarray(at, at + WIDTHS[name]), f * WIDTHS[name]);
        at += WIDTHS[name];
      }
    }
    return true;
  }

  // One figure's part of an array.
  of(name, figure) {
    return this[name].subarray(figure * WIDTHS[name], (figure + 1) * WIDTHS[name]);
  }
}

// A copy, since the bytes of a message may begin anywhere.
function floats(view) {
  if (!view) return new Float32Array(0);
  const bytes = new Uint8Array(view.buffer ?? view, view.byteOffset ?? 0, view.byteLength);
  return new Float32Array(bytes.slice().buffer);
}
