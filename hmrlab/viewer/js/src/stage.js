// What is seen: panels with one orbit for all of them, on one canvas.

import { PerspectiveCamera, Spherical } from "three";
import { OrbitControls } from "three/examples/jsm/controls/OrbitControls.js";
import { Panel } from "./panel.js";
import { pageRenderer } from "./renderer.js";

const LENS = 24; // degrees
const REACH = 14; // pixels from a joint's ball at which a pointer means it
const GAP = 6; // pixels between panels
const LEAST_WIDE = 150; // pixels of a panel, before the next row
const LEAST_TALL = 140;
const NAME_ROOM = 28; // pixels above each panel, where there are names

export class Stage {
  // onDrawn: called after each picture
  constructor(canvas, onDrawn) {
    this.canvas = canvas;
    this.onDrawn = onDrawn;
    this.renderer = pageRenderer();
    this.figures = [];
    this.panels = [];
    this.settings = {};
    this.pictures = 0; // drawn so far
    this.visible = true;
    const camera = new PerspectiveCamera(LENS, 1, 0.01, 100);
    this.orbit = new OrbitControls(camera, canvas);
    this.orbit.enableDamping = false;
    this.orbit.minDistance = 0.12;
    this.orbit.maxDistance = 3;
    this.orbit.addEventListener("change", () => this.redraw());
    this.onLost = (lost) => {
      this.lost = lost;
      this.onContext?.(lost);
      if (!lost) this.redraw();
    };
    this.renderer?.watchers.add(this.onLost);
    this.watcher = new IntersectionObserver(([entry]) => {
      this.visible = entry.isIntersecting;
      if (this.visible) this.redraw();
    });
    this.watcher.observe(canvas);
  }

  // groups: lists of figures, one for each panel
  setPanels(groups) {
    for (const panel of this.panels) panel.dispose();
    this.figures = groups.flat();
    this.panels = groups.map((figures) => new Panel(figures));
  }

  // pixels of the canvas, and how many device pixels each has
  resize(width, height, ratio) {
    if (width === this.width && height === this.height && ratio === this.ratio) return;
    Object.assign(this, { width, height, ratio });
    this.canvas.width = Math.round(width * ratio);
    this.canvas.height = Math.round(height * ratio);
    this.draw(); // at once: a canvas of a new size is empty
  }

  // Where the panels lie: as many beside one another as have room.
  divide() {
    const count = this.panels.length;
    const most = Math.max(1, Math.floor(this.width / LEAST_WIDE));
    const rows = Math.min(Math.ceil(count / most), Math.floor(this.height / LEAST_TALL) || 1);
    const columns = Math.ceil(count / rows);
    const wide = (this.width - GAP * (columns - 1)) / columns;
    const tall = (this.height - GAP * (rows - 1)) / rows;
    const above = this.settings.named ? NAME_ROOM : 0;
    this.panels.forEach((panel, k) => {
      const column = k % columns, row = Math.floor(k / columns);
      panel.x = column * (wide + GAP);
      panel.y = row * (tall + GAP) + above;
      panel.width = wide;
      panel.height = tall - above;
    });
  }

  // settings: as Panel.arrange, `places` of all figures; `look` as Figure.look for one of them;
  // `named` where there are names to make room for
  arrange(settings) {
    this.settings = settings;
    this.panels.forEach((panel) => {
      const places = panel.figures.map((figure) => settings.places[figure.index]);
      panel.arrange({ ...settings, places });
    });
    this.redraw();
  }

  // Measures all bodies about their roots, so that the camera keeps its place while they move.
  measure() {
    const low = [Infinity, Infinity, Infinity], high = [-Infinity, -Infinity, -Infinity];
    for (const { body } of this.figures) {
      const box = body.bounds(), root = body.root();
      for (let k = 0; k < 3; k++) {
        low[k] = Math.min(low[k], box.low[k] - root[k]);
        high[k] = Math.max(high[k], box.high[k] - root[k]);
      }
    }
    const sign = this.settings.upsideDown ? -1 : 1;
    const half = low.map((value, k) => (high[k] - value) / 2);
    this.box = {
      middle: [(low[0] + high[0]) / 2, (sign * (low[1] + high[1])) / 2, 0],
      wide: half[0],
      tall: half[1],
      deep: half[2],
    };
    this.redraw();
  }

  // yaw, pitch: degrees from straight in front
  look(yaw, pitch) {
    const from = new Spherical(1, Math.PI / 2 - (pitch * Math.PI) / 180, (yaw * Math.PI) / 180);
    this.orbit.target.set(0, 0, 0);
    this.orbit.object.position.setFromSpherical(from);
    this.orbit.update();
    this.redraw();
  }

  turn(yaw, pitch) {
    const { object, target } = this.orbit;
    const from = new Spherical().setFromVector3(object.position.clone().sub(target));
    from.theta += (yaw * Math.PI) / 180;
    from.phi = Math.min(Math.max(from.phi - (pitch * Math.PI) / 180, 0.05), Math.PI - 0.05);
    object.position.setFromSpherical(from).add(target);
    this.orbit.update();
    this.redraw();
  }

  zoom(factor) {
    const { object, target, minDistance, maxDistance } = this.orbit;
    const along = object.position.clone().sub(target);
    along.setLength(Math.min(Math.max(along.length() * factor, minDistance), maxDistance));
    object.position.copy(target).add(along);
    this.orbit.update();
    this.redraw();
  }

  redraw() {
    if (this.waiting || !this.visible) return;
    this.waiting = requestAnimationFrame(() => {
      this.waiting = 0;
      this.draw();
    });
  }

  draw() {
    if (!this.width || !this.panels.length || !this.box) return;
    this.divide();
    for (const panel of this.panels) {
      panel.aim(this.orbit, this.box, LENS);
      for (const figure of panel.figures) figure.look(this.settings.look(figure));
    }
    if (this.renderer?.draw(this.canvas, this.panels, this.ratio)) {
      this.pictures += 1;
      this.onDrawn?.();
    }
  }

  panelAt(x, y) {
    return this.panels.find(
      (p) => x >= p.x && x < p.x + p.width && y >= p.y && y < p.y + p.height,
    );
  }

  // The joint that a pointer means: of the skeleton where it is shown, else of the skin.
  pick(x, y, skeleton) {
    const panel = this.panelAt(x, y);
    if (!panel) return null;
    const found = (skeleton && panel.nearest(x, y, REACH)) || panel.pick(x, y);
    return found && { ...found, panel };
  }

  dispose() {
    cancelAnimationFrame(this.waiting);
    this.watcher.disconnect();
    this.renderer?.watchers.delete(this.onLost);
    for (const panel of this.panels) panel.dispose();
    this.orbit.dispose();
  }
}
