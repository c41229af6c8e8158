
// What lies under the pointer or the cursor keys is told, time can be looked at closely, and files of any size can be
// saved. The page is read without it.
(() => {
  "use strict";
  const SVG = document.querySelector("svg")?.namespaceURI;
  const all = (what, within = document) => [...within.querySelectorAll(what)];
  const make = (tag, name, within) => {
    const one = tag === "line" || tag === "rect" ? document.createElementNS(SVG, tag) : document.createElement(tag);
    one.setAttribute("class", name);
    return within.appendChild(one);
  };
  const between = (value, least, most) => Math.min(Math.max(value, least), most);

  class Chart {
    constructor(figure) {
      this.figure = figure;
      this.svg = figure.querySelector("svg.chart");
      this.plot = figure.querySelector("svg.plot");
      Object.assign(this, JSON.parse(figure.querySelector("script.marks").textContent));
      const [, , width] = this.svg.getAttribute("viewBox").split(" ").map(Number);
      this.width = width;
      this.span = this.svg.dataset.span?.split(" ").map(Number);
      this.view = [0, 1];
      this.told = make("div", "told", figure);
      this.told.setAttribute("role", "status");
      const [, top, , height] = this.plot.getAttribute("viewBox").split(" ").map(Number);
      this.edges = { y1: top, y2: top + height };
      this.remember();
      this.listen();
    }

    // Where everything was when the whole was seen.
    remember() {
      const moved = all("polyline", this.plot).map((line) => {
        const points = line.getAttribute("points").split(" ").map((point) => point.split(",").map(Number));
        return (x) => line.setAttribute("points", points.map(([at, y]) => x(at).toFixed(1) + "," + y).join(" "));
      });
      const marks = all(".mark", this.plot).map((mark) => {
        const [at, y] = mark.getAttribute("transform").match(/[\d.]+/g).map(Number);
        return (x) => mark.setAttribute("transform", "translate(" + x(at).toFixed(1) + " " + y + ")");
      });
      const shades = all(".shade", this.plot).map((shade) => {
        const [from, width] = ["x", "width"].map((name) => Number(shade.getAttribute(name)));
        return (x) => {
          shade.setAttribute("x", x(from));
          shade.setAttribute("width", x(from + width) - x(from));
        };
      });
      this.moved = [...moved, ...marks, ...shades];
      this.ticks = all(".tick", this.svg);
    }

    // From the drawing of the whole to what is seen of it, and back.
    shown(x) {
      const [from, to] = this.view;
      return this.left + ((x - this.left) / (this.right - this.left) - from) / (to - from) * (this.right - this.left);
    }
    whole(x) {
      const [from, to] = this.view;
      return this.left + (from + (x - this.left) / (this.right - this.left) * (to - from)) * (this.right - this.left);
    }

    look(view) {
      this.view = view;
      this.moved.forEach((move) => move((x) => this.shown(x)));
      all(".tick.close", this.svg).forEach((tick) => tick.remove());
      const close = view[0] > 0 || view[1] < 1;
      this.ticks.forEach((tick) => { tick.style.display = close ? "none" : ""; });
      if (close) this.name();
      this.hide();
    }

    // Round values of what is seen.
    name() {
      const at = (share) => this.span[0] + share * (this.span[1] - this.span[0]);
      const [from, to] = this.view.map(at);
      const power = 10 ** Math.floor(Math.log10((to - from) / 5));
      const step = [1, 2, 5, 10].map((digit) => digit * power).find((step) => (to - from) / step <= 6);
      for (let value = Math.ceil(from / step) * step; value <= to + step * 1e-9; value += step) {
        const tick = this.ticks[0].cloneNode(true);
        tick.classList.add("close");
        tick.style.display = "";
        const x = this.left + (value - from) / (to - from) * (this.right - this.left);
        tick.setAttribute("transform", "translate(" + x.toFixed(1) + " 0)");
        tick.querySelector("text").textContent = String(Number(value.toPrecision(6)));
        this.svg.insertBefore(tick, this.plot);
      }
    }

    // The marks that are seen, by their places.
    places() {
      const seen = this.lines.flatMap((line) => line.marks.map(([x]) => x));
      const inside = (x) => this.shown(x) >= this.left - 0.1 && this.right + 0.1 >= this.shown(x);
      return [...new Set(seen)].filter(inside).sort((one, other) => one - other);
    }

    tell(place) {
      if (place === undefined) return this.hide();
      this.place = place;
      const x = this.shown(place);
      this.cursor ??= make("line", "cursor", this.plot);
      for (const [name, value] of Object.entries({ x1: x, x2: x, ...this.edges })) this.cursor.setAttribute(name, value);
      const near = 0.75;
      const lines = this.lines.flatMap(({ name, marks }) =>
        marks.filter(([at]) => Math.abs(at - place) < near).map(([, , text]) => name + ": " + text));
      this.told.replaceChildren();
      for (const line of lines.slice(0, 12)) make("div", "", this.told).textContent = line;
      if (lines.length > 12) make("div", "", this.told).textContent = "and " + (lines.length - 12) + " more";
      const right = x > (this.left + this.right) / 2;
      this.told.style.left = right ? "0.8rem" : "auto";
      this.told.style.right = right ? "auto" : "0.8rem";
    }
    hide() {
      this.place = undefined;
      this.cursor?.remove();
      this.cursor = undefined;
      this.told.replaceChildren();
    }

    at(event) {
      const box = this.svg.getBoundingClientRect();
      return between((event.clientX - box.left) / box.width * this.width, this.left, this.right);
    }
    nearest(x) {
      const far = (place) => Math.abs(this.shown(place) - x);
      return this.places().reduce((best, place) => best === undefined || far(best) > far(place) ? place : best, undefined);
    }

    listen() {
      this.svg.setAttribute("tabindex", "0");
      this.svg.addEventListener("pointermove", (event) => {
        this.tell(this.nearest(this.at(event)));
        if (this.from !== undefined) this.choose(this.from, this.at(event));
      });
      this.svg.addEventListener("pointerleave", () => this.hide());
      this.svg.addEventListener("blur", () => this.hide());
      this.svg.addEventListener("keydown", (event) => this.key(event));
      if (!this.span) return;
      this.svg.addEventListener("pointerdown", (event) => {
        if (event.pointerType === "touch" || event.button !== 0) return;
        this.from = this.at(event);
        this.svg.setPointerCapture(event.pointerId);
      });
      this.svg.addEventListener("pointerup", (event) => {
        const [from, to] = [this.from, this.at(event)];
        this.choose();
        this.from = undefined;
        if (from !== undefined && Math.abs(to - from) > 8) this.group.look([from, to].sort((a, b) => a - b).map((x) => this.share(x)));
      });
      this.buttons();
    }
    share(x) {
      return (this.whole(x) - this.left) / (this.right - this.left);
    }

    // What is about to be looked at.
    choose(from, to) {
      this.chosen?.remove();
      this.chosen = undefined;
      if (from === undefined) return;
      this.chosen = make("rect", "chosen", this.plot);
      const { y1, y2 } = this.edges;
      const box = { x: Math.min(from, to), width: Math.abs(to - from), y: y1, height: y2 - y1 };
      for (const [name, value] of Object.entries(box)) this.chosen.setAttribute(name, value);
    }

    key(event) {
      const places = this.places();
      const at = places.indexOf(this.place);
      const steps = { ArrowRight: at + 1, ArrowLeft: at < 0 ? places.length - 1 : at - 1, Home: 0, End: places.length - 1 };
      if (event.ctrlKey || event.altKey || event.metaKey) return;
      if (event.key in steps) this.tell(places[between(steps[event.key], 0, places.length - 1)]);
      else if (event.key === "Escape") this.hide();
      else if (this.span && (event.key === "+" || event.key === "=")) this.closer(0.5);
      else if (this.span && event.key === "-") this.closer(2);
      else if (this.span && event.key === "0") this.group.look([0, 1]);
      else return;
      event.preventDefault();
    }

    // A share of what is seen, about the cursor.
    closer(factor) {
      const [from, to] = this.view;
      const place = this.place;
      const middle = place === undefined ? (from + to) / 2 : (place - this.left) / (this.right - this.left);
      const width = between((to - from) * factor, 0.002, 1);
      const start = between(middle - (middle - from) * width / (to - from), 0, 1 - width);
      this.group.look([start, start + width]);
      if (place !== undefined) this.tell(this.nearest(this.shown(place)));
    }

    buttons() {
      const bar = make("div", "zoom", this.figure);
      const button = (text, title, act) => {
        const one = make("button", "", bar);
        Object.assign(one, { type: "button", textContent: text, title });
        one.setAttribute("aria-label", title);
        one.addEventListener("click", act);
        return one;
      };
      button("+", "Look closer", () => this.closer(0.5));
      const further = button("\u2212", "Look from further away", () => this.closer(2));
      const reset = button("All", "See the whole", () => this.group.look([0, 1]));
      this.enable = () => {
        const whole = this.view[0] <= 0 && this.view[1] >= 1;
        [further.disabled, reset.disabled] = [whole, whole];
      };
      this.enable();
    }
  }

  // Charts of the same time are looked at together.
  const groups = new Map();
  for (const figure of all("figure")) {
    const chart = new Chart(figure);
    const key = chart.span ? figure.parentElement : figure;
    if (!groups.has(key)) {
      const charts = [];
      groups.set(key, { charts, look: (view) => charts.forEach((one) => { one.look(view); one.enable(); }) });
    }
    chart.group = groups.get(key);
    if (chart.span) chart.group.charts.push(chart);
  }

  // A browser follows a link to data only up to 2 MB.
  for (const link of all("a[download]")) {
    link.addEventListener("click", (event) => {
      const [head, data] = link.getAttribute("href").split(";base64,");
      const bytes = Uint8Array.from(atob(data), (letter) => letter.charCodeAt(0));
      const address = URL.createObjectURL(new Blob([bytes], { type: head.slice(5) }));
      const saved = Object.assign(document.createElement("a"), { href: address, download: link.download });
      saved.click();
      setTimeout(() => URL.revokeObjectURL(address), 60000);
      event.preventDefault();
    });
  }

  // What is printed is all there.
  addEventListener("beforeprint", () => all("details").forEach((one) => { one.open = true; }));
})();
