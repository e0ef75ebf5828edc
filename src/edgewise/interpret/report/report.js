"use strict";
// What the reader can do with the page; the picture and the tables are complete without it.
(() => {
  const byId = (id) => document.getElementById(id);
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];
  const data = JSON.parse(byId("data").textContent);
  for (const scored of [...data.nodes, ...data.edges]) scored.score ??= NaN;
  const root = document.documentElement;
  root.classList.add("js");

  const svgElement = (name, attributes = {}, text = "") => {
    const element = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
    element.textContent = text;
    return element;
  };
  const htmlElement = (name, text = "", classes = "") => {
    const element = document.createElement(name);
    element.textContent = text;
    if (classes) element.className = classes;
    return element;
  };
  const shown = (value) =>
    value === null ? "–" : String(Number(value.toPrecision(4))).replace("-", "−");

  // ---- light and dark -------------------------------------------------------------------------------------------
  const wantsDark = matchMedia("(prefers-color-scheme: dark)");
  const isDark = () => (root.dataset.theme ? root.dataset.theme === "dark" : wantsDark.matches);
  const theme = byId("theme");
  const nameTheme = () => {
    theme.textContent = isDark() ? "Light" : "Dark";
    theme.setAttribute("aria-label", isDark() ? "Light colours" : "Dark colours");
  };
  theme.addEventListener("click", () => {
    root.dataset.theme = isDark() ? "light" : "dark";
    nameTheme();
  });
  wantsDark.addEventListener("change", nameTheme);
  nameTheme();

  // ---- the panel: one edge, large -------------------------------------------------------------------------------
  const PLOT = { left: 46, right: 312, top: 10, bottom: 190, width: 320, height: 216 };

  const ticks = (low, high, count) => {
    const raw = (high - low) / count;
    const power = 10 ** Math.floor(Math.log10(raw));
    const step = power * [1, 2, 5, 10].find((factor) => factor * power >= raw);
    const found = [];
    for (let k = Math.ceil(low / step - 1e-9); k * step <= high + 1e-9 * step; k += 1) found.push(Number((k * step).toPrecision(12)));
    return found;
  };

  const curveSpan = (values) => {
    const finite = values.filter((value) => value !== null);
    if (!finite.length) return [-1, 1];
    const low = Math.min(...finite);
    const high = Math.max(...finite);
    const pad = high - low > 1e-9 * Math.max(Math.abs(low), Math.abs(high), 1e-30) ? 0.06 * (high - low) : 0.5 * Math.max(Math.abs(low), 1e-3);
    return [low - pad, high + pad];
  };

  const chart = (edge) => {
    const source = data.nodes[edge.source];
    const [bottom, top] = curveSpan(edge.y);
    const across = (x) => PLOT.left + ((x - edge.from) / (edge.to - edge.from)) * (PLOT.right - PLOT.left);
    const up = (y) => PLOT.bottom - ((y - bottom) / (top - bottom)) * (PLOT.bottom - PLOT.top);
    const svg = svgElement("svg", {
      viewBox: `0 0 ${PLOT.width} ${PLOT.height}`, role: "img", style: `color:var(--${edge.form ? "symbolic" : "numeric"})`,
      "aria-label": `Curve of ${edge.name} over ${shown(edge.from)} to ${shown(edge.to)}, with the density of the data`,
    });
    for (const y of ticks(bottom, top, 6)) {
      svg.append(svgElement("path", { class: "grid", d: `M${PLOT.left} ${up(y)}H${PLOT.right}` }));
      svg.append(svgElement("text", { class: "tick", x: PLOT.left - 6, y: up(y) + 4, "text-anchor": "end" }, shown(y)));
    }
    const wide = (source.high - source.low) / source.density.length;
    source.density.forEach((share, bin) => {
      if (!share || !wide) return;
      const x = across(source.low + bin * wide);
      const height = share * 44;
      svg.append(svgElement("rect", {
        class: "bar", x, width: Math.max(across(source.low + (bin + 1) * wide) - x - 0.5, 0.5), y: PLOT.bottom - height, height,
      }));
    });
    svg.append(svgElement("path", { class: "axis", d: `M${PLOT.left} ${PLOT.top}V${PLOT.bottom}H${PLOT.right}` }));
    for (const x of ticks(edge.from, edge.to, 6)) {
      svg.append(svgElement("path", { class: "axis", d: `M${across(x)} ${PLOT.bottom}v5` }));
      svg.append(svgElement("text", { class: "tick", x: across(x), y: PLOT.bottom + 19, "text-anchor": "middle" }, shown(x)));
    }
    for (const x of edge.cells.filter((cell) => cell >= edge.from && cell <= edge.to)) {
      svg.append(svgElement("path", { class: "cell", d: `M${across(x)} ${PLOT.bottom}v-6` }));
    }
    let path = "";
    edge.y.forEach((y, place) => {
      if (y === null) return;
      const x = edge.from + (place / (edge.y.length - 1)) * (edge.to - edge.from);
      path += `${place && edge.y[place - 1] !== null ? "L" : "M"}${across(x).toFixed(1)} ${up(y).toFixed(1)}`;
    });
    svg.append(svgElement("path", { class: "big", d: path }));
    return svg;
  };

  const panel = byId("panel");
  const groups = all("#network .edge").sort((a, b) => a.dataset.edge - b.dataset.edge); // drawn in another order
  const rows = new Map(all("#edges tbody tr").map((row) => [Number(row.dataset.edge), row]));
  const ranks = new Map();
  for (let layer = 0; layer < data.depth; layer += 1) {
    const here = data.edges.filter((edge) => edge.key[0] === layer).sort((a, b) => b.score - a.score);
    here.forEach((edge, place) => ranks.set(edge, `${place + 1} of ${here.length} in its layer`));
  }
  let current = null;
  let pinned = null;
  let stays = data.edges.map(() => true);

  const fate = () => {
    const line = byId("fate");
    if (line) line.textContent = stays[current] ? "stays" : "goes";
  };

  const show = (number) => {
    if (number === current) return;
    current = number;
    const edge = data.edges[number];
    const source = data.nodes[edge.source];
    const facts = [
      ["edge", `(${edge.key.join(", ")})`], ["layer", String(edge.key[0])],
      ["from", source.name], ["to", data.nodes[edge.target].name],
      ["score", `${edge.score_text}, ${ranks.get(edge)}`],
      ["data", `${shown(source.low)} to ${shown(source.high)}`],
      ["middle half", `${shown(source.quantiles[1])} to ${shown(source.quantiles[3])}`],
      ...(edge.form ? [["form", edge.form], ["formula", edge.function]] : []),
      ["pruning", ""],
    ];
    const list = htmlElement("dl");
    for (const [name, value] of facts) list.append(htmlElement("dt", name), htmlElement("dd", value));
    list.lastChild.id = "fate";
    const badge = htmlElement("p", edge.form ? "● a formula" : "■ a function of the basis", edge.form ? "badge symbolic" : "badge");
    const legend = `Bars: how often the data are where.${edge.cells.length ? " Marks: cells of the basis." : ""}`;
    panel.replaceChildren(htmlElement("h3", edge.name), badge, chart(edge), htmlElement("p", legend, "under"), list);
    fate();
    for (const group of groups) group.classList.toggle("chosen", Number(group.dataset.edge) === number);
    for (const [place, row] of rows) row.classList.toggle("chosen", place === number);
  };

  const pin = (number) => {
    pinned = number;
    for (const group of groups) group.setAttribute("aria-pressed", String(Number(group.dataset.edge) === number));
    if (number !== null) show(number);
  };

  // ---- edges: mouse, touch, keys --------------------------------------------------------------------------------
  let moved = false;
  const reach = (number) => {
    for (const group of groups) group.tabIndex = Number(group.dataset.edge) === number ? 0 : -1;
    groups[number].focus({ preventScroll: false });
  };
  const middle = (edge) => (data.nodes[edge.source].x + data.nodes[edge.target].x) / 2;
  const beyond = (number, step) => {
    const edge = data.edges[number];
    const meets = (other) => (step > 0 ? other.source === edge.target || data.nodes[edge.target].product === other.source : other.target === edge.source || data.nodes[other.target].product === edge.source);
    const next = data.edges.map((other, place) => [other, place]).filter(([other]) => other.key[0] === edge.key[0] + step);
    const away = ([other]) => Math.abs(middle(other) - middle(edge)) + (meets(other) ? 0 : 10);
    return next.length ? next.reduce((best, item) => (away(item) < away(best) ? item : best))[1] : number;
  };
  const keys = {
    ArrowRight: (n) => Math.min(n + 1, groups.length - 1), ArrowLeft: (n) => Math.max(n - 1, 0),
    ArrowUp: (n) => beyond(n, 1), ArrowDown: (n) => beyond(n, -1), Home: () => 0, End: () => groups.length - 1,
  };
  for (const group of groups) {
    const number = Number(group.dataset.edge);
    group.addEventListener("pointerenter", (event) => {
      if (event.pointerType !== "touch" && pinned === null) show(number);
    });
    group.addEventListener("focus", () => {
      if (pinned !== null && pinned !== number) pin(null);
      show(number);
    });
    group.addEventListener("click", () => {
      if (!moved) pin(pinned === number ? null : number);
    });
    group.addEventListener("keydown", (event) => {
      if (event.ctrlKey || event.metaKey || event.altKey) return;
      if (keys[event.key]) reach(keys[event.key](number));
      else if (event.key === "Enter" || event.key === " ") pin(pinned === number ? null : number);
      else return;
      event.preventDefault();
    });
  }
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape") pin(null);
  });

  // ---- zoom -----------------------------------------------------------------------------------------------------
  const network = byId("network");
  const view = byId("view");
  const stage = byId("stage");
  const box = network.viewBox.baseVal;
  const place = { scale: 1, x: 0, y: 0 };
  const settle = () => {
    place.scale = Math.min(Math.max(place.scale, 1), 16);
    place.x = Math.min(Math.max(place.x, box.width * (1 - place.scale)), 0);
    place.y = Math.min(Math.max(place.y, box.height * (1 - place.scale)), 0);
    view.setAttribute("transform", `translate(${place.x.toFixed(1)} ${place.y.toFixed(1)}) scale(${place.scale.toFixed(3)})`);
    byId("zoom-reset").textContent = `${Math.round(100 * place.scale)} %`;
    stage.classList.toggle("zoomed", place.scale > 1.001);
  };
  const onPaper = (x, y) => new DOMPoint(x, y).matrixTransform(network.getScreenCTM().inverse());
  const zoom = (factor, at = { x: box.width / 2, y: box.height / 2 }) => {
    const before = place.scale;
    place.scale = Math.min(Math.max(before * factor, 1), 16);
    place.x = at.x - ((at.x - place.x) * place.scale) / before;
    place.y = at.y - ((at.y - place.y) * place.scale) / before;
    settle();
  };
  const reset = () => {
    Object.assign(place, { scale: 1, x: 0, y: 0 });
    settle();
  };
  byId("zoom-in").addEventListener("click", () => zoom(1.5));
  byId("zoom-out").addEventListener("click", () => zoom(1 / 1.5));
  byId("zoom-reset").addEventListener("click", reset);
  stage.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "+" || event.key === "=") zoom(1.5);
    else if (event.key === "-") zoom(1 / 1.5);
    else if (event.key === "0") reset();
    else return;
    event.preventDefault();
  });
  network.addEventListener("wheel", (event) => {
    if (!event.ctrlKey && !event.metaKey) return; // the plain wheel scrolls the page
    event.preventDefault();
    zoom(Math.exp(-Math.min(Math.max(event.deltaY, -60), 60) / 120), onPaper(event.clientX, event.clientY));
  }, { passive: false });

  const pointers = new Map();
  const spread = () => {
    const [a, b] = [...pointers.values()];
    return { size: Math.hypot(a.x - b.x, a.y - b.y), at: onPaper((a.x + b.x) / 2, (a.y + b.y) / 2) };
  };
  network.addEventListener("pointerdown", (event) => {
    if (event.button) return;
    if (!pointers.size) moved = false;
    pointers.set(event.pointerId, { x: event.clientX, y: event.clientY });
  });
  addEventListener("pointermove", (event) => {
    const old = pointers.get(event.pointerId);
    if (!old) return;
    const before = pointers.size === 2 ? spread() : null;
    const from = onPaper(old.x, old.y);
    const to = onPaper(event.clientX, event.clientY);
    if (!moved && Math.hypot(event.clientX - old.x, event.clientY - old.y) < 4) return; // a click that trembles
    moved = true;
    pointers.set(event.pointerId, { x: event.clientX, y: event.clientY });
    if (before) {
      const after = spread();
      if (before.size > 0) zoom(after.size / before.size, after.at);
    } else if (pointers.size === 1 && place.scale > 1) {
      stage.classList.add("dragging");
      place.x += to.x - from.x;
      place.y += to.y - from.y;
      settle();
    }
  });
  for (const end of ["pointerup", "pointercancel"]) {
    addEventListener(end, (event) => {
      pointers.delete(event.pointerId);
      if (!pointers.size) stage.classList.remove("dragging");
    });
  }

  // An edge that is reached by key while it is out of sight comes into it. An SVG element that listens itself would be a
  // stop for Tab in some browsers.
  stage.addEventListener("focusin", (event) => {
    if (place.scale <= 1.001 || pointers.size || !event.target.classList.contains("edge")) return;
    const inner = (event.target.querySelector(".frame") ?? event.target).getBoundingClientRect();
    const outer = network.getBoundingClientRect();
    const across = inner.left >= outer.left && inner.right <= outer.right;
    const inside = across && inner.top >= outer.top && inner.bottom <= outer.bottom;
    if (inside) return;
    const from = onPaper((inner.left + inner.right) / 2, (inner.top + inner.bottom) / 2);
    place.x += box.width / 2 - from.x;
    place.y += box.height / 2 - from.y;
    settle();
  });

  // ---- pruning --------------------------------------------------------------------------------------------------
  const slider = byId("threshold");
  const exact = byId("exact");
  const positive = data.edges.map((edge) => edge.score).filter((score) => score > 0);
  const most = positive.length ? Math.max(...positive) : 1;
  const least = Math.max(Math.min(...positive, most) / 2, most * 1e-5);
  const top = most * 1.2;
  const STEPS = 1000;
  // The slider is logarithmic: scores span orders of magnitude. Its left end is 0.
  const atStep = (step) => (step <= 0 ? 0 : Number((least * (top / least) ** (step / STEPS)).toPrecision(2)));
  const stepOf = (score) => (score > least ? Math.min((STEPS * Math.log(score / least)) / Math.log(top / least), STEPS) : 0);

  const marks = data.edges.map((edge) => {
    const x = stepOf(edge.score).toFixed(1);
    return byId("spread").appendChild(svgElement("line", { x1: x, x2: x, y1: 2, y2: 15 }));
  });

  // Which edges and nodes prune(model, data, threshold=...) would keep.
  const kept = (threshold) => {
    const edges = data.edges.map((edge) => !(edge.score < threshold) && !(data.nodes[edge.source].score < threshold));
    const nodeOf = (edge) => data.nodes[edge.target].product ?? edge.target;
    for (;;) {
      const entered = new Set();
      const left = new Set();
      data.edges.forEach((edge, place) => {
        if (!edges[place]) return;
        entered.add(nodeOf(edge));
        left.add(edge.source);
      });
      const alive = (node) => {
        const level = data.nodes[node].level;
        return (level === data.depth || left.has(node)) && (level === 0 || level === data.depth || entered.has(node));
      };
      const next = data.edges.map((edge, place) => edges[place] && alive(edge.source) && alive(nodeOf(edge)));
      if (next.every((value, place) => value === edges[place])) {
        return { edges, nodes: data.nodes.map((node, place) => alive(node.product ?? place)) };
      }
      edges.splice(0, edges.length, ...next);
    }
  };

  const apply = (threshold) => {
    const found = kept(threshold);
    stays = found.edges;
    for (const group of groups) group.classList.toggle("gone", !stays[group.dataset.edge]);
    for (const node of all("#network .node")) node.classList.toggle("gone", !found.nodes[node.dataset.node]);
    marks.forEach((mark, place) => mark.classList.toggle("gone", !stays[place]));
    for (const [place, row] of rows) {
      row.classList.toggle("gone", !stays[place]);
      row.querySelector(".stays").textContent = stays[place] ? "yes" : "no";
    }
    byId("count").textContent = `${stays.filter(Boolean).length} of ${stays.length} edges would stay`;
    const empty = [...Array(data.depth).keys()].filter((layer) => !data.edges.some((edge, place) => stays[place] && edge.key[0] === layer));
    byId("alert").textContent = empty.length ? `No edge of layer ${empty[0]} would be left: prune would refuse.` : "";
    const kind = data.kind === "attribution" ? "" : `, kind="${data.kind}"`;
    byId("code").textContent = `edgewise.interpret.prune(model, data, threshold=${threshold}${kind})`;
    slider.setAttribute("aria-valuetext", `${threshold}, ${byId("count").textContent}`);
    if (current !== null) fate();
  };
  slider.addEventListener("input", () => {
    const threshold = atStep(Number(slider.value));
    exact.value = String(threshold);
    apply(threshold);
  });
  exact.addEventListener("input", () => {
    const threshold = Number(exact.value);
    if (exact.value === "" || !Number.isFinite(threshold) || threshold < 0) return;
    slider.value = String(Math.round(stepOf(threshold)));
    apply(threshold);
  });

  // ---- copying, sorting -----------------------------------------------------------------------------------------
  const copy = async (text, button) => {
    const name = button.textContent;
    try {
      await navigator.clipboard.writeText(text);
    } catch {
      // Pages opened as files may not reach the clipboard the new way.
      const area = document.body.appendChild(htmlElement("textarea", text));
      area.select();
      document.execCommand("copy");
      area.remove();
      button.focus();
    }
    button.textContent = "Copied";
    setTimeout(() => { button.textContent = name; }, 1200);
  };
  byId("copy").addEventListener("click", (event) => copy(byId("code").textContent, event.target));
  for (const button of all("[data-copy]")) button.addEventListener("click", () => copy(button.dataset.copy, button));

  const body = document.querySelector("#edges tbody");
  const value = (row, column) => row.cells[column].dataset.value ?? row.cells[column].textContent;
  const order = new Intl.Collator(undefined, { numeric: true });
  all("#edges th").forEach((head, column) => {
    head.querySelector("button").addEventListener("click", () => {
      const number = "value" in (body.rows[0]?.cells[column].dataset ?? {});
      const was = head.getAttribute("aria-sort");
      // Scores start with the largest.
      const down = was ? was === "ascending" : head.classList.contains("number");
      const compare = (a, b) => (number ? value(a, column) - value(b, column) : order.compare(value(a, column), value(b, column)));
      const sorted = [...body.rows].sort((a, b) => (down ? -compare(a, b) : compare(a, b)));
      for (const other of all("#edges th")) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      body.append(...sorted);
    });
  });
  for (const [place, row] of rows) row.addEventListener("click", () => pin(place));

  settle();
  apply(0);
  if (groups.length) show(data.edges.reduce((best, edge, place) => (edge.score > data.edges[best].score ? place : best), 0));
})();
