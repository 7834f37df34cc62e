// One WebGL context for all viewers of a page: browsers keep about sixteen and drop the oldest, and
// a notebook may hold more viewers than that. Each viewer copies what is drawn for it.

import { WebGLRenderer } from "three";

const ROOM = [1024, 640]; // pixels, to begin with

let shared;

// The page's renderer, or null where there is no WebGL 2.
export function pageRenderer() {
  if (shared === undefined) {
    try {
      shared = new PageRenderer();
    } catch {
      shared = null;
    }
  }
  return shared;
}

class PageRenderer {
  constructor() {
    this.canvas = document.createElement("canvas");
    [this.canvas.width, this.canvas.height] = ROOM; // to grow it later takes longer
    this.gl = new WebGLRenderer({ canvas: this.canvas, antialias: true, alpha: true });
    this.gl.setClearColor(0x000000, 0);
    this.gl.autoClear = false;
    this.lost = false;
    this.watchers = new Set();
    this.canvas.addEventListener("webglcontextlost", (event) => {
      event.preventDefault(); // or it is never given back
      this.tell(true);
    });
    this.canvas.addEventListener("webglcontextrestored", () => this.tell(false));
  }

  tell(lost) {
    this.lost = lost;
    for (const watcher of [...this.watchers]) watcher(lost);
  }

  // Draws views {scene, camera, x, y, width, height} (CSS pixels from the upper left) and copies
  // the picture onto a 2D canvas.
  draw(target, views, ratio) {
    const { width, height } = target;
    if (this.lost || !width || !height) return false;
    if (this.canvas.width < width || this.canvas.height < height) {
      const most = [Math.max(this.canvas.width, width), Math.max(this.canvas.height, height)];
      this.gl.setPixelRatio(1);
      this.gl.setSize(...most, false);
    }
    const gl = this.gl;
    gl.setScissorTest(false);
    gl.clear(); // between the views, too
    gl.setScissorTest(true);
    for (const view of views) {
      const box = [view.x, height / ratio - view.y - view.height, view.width, view.height];
      const pixels = box.map((value) => Math.round(value * ratio));
      gl.setViewport(...pixels);
      gl.setScissor(...pixels);
      gl.render(view.scene, view.camera);
    }
    const pen = target.getContext("2d");
    pen.clearRect(0, 0, width, height);
    pen.drawImage(this.canvas, 0, this.canvas.height - height, width, height, 0, 0, width, height);
    return true;
  }
}
