// Score over tokens per step, and PBx read off at a movable x.
const COLOURS = 6;
const DASHES = ["", "7 3", "2 3", "9 3 2 3"];
const SHAPES = ["circle", "square", "diamond", "triangle"];

// The rule of pb_plugin/statistics/pbx.py: points are pairs of tokens per step and percent.
const pbx = (points, x, rule, isStatic) => {
  if (!points.length) return { v: null, c: null };
  const reached = points.filter((point) => point[1] >= x).map((point) => point[0]);
  if (!reached.length) return { v: 0, c: "never" };
  const best = Math.max(...reached);
  if (best === Math.max(...points.map((point) => point[0]))) return { v: best, c: "at_least" };
  if (rule === "published" && isStatic) return { v: best, c: null };
  const ordered = [...points].sort((a, b) => a[0] - b[0] || b[1] - a[1]);
  const last = ordered.findLastIndex((point) => point[1] >= x);
  const [tps, score] = ordered[last], [nextTps, nextScore] = ordered[last + 1];
  return { v: tps + (score - x) / (score - nextScore) * (nextTps - tps), c: null };
};
// The same where forwards are known as bounds: points are { e: [least, most] tokens per step, y: percent }.
// See pb_plugin/statistics/pbx_bounds.py.
const pbxBetween = (points, x, rule, isStatic) => {
  const reached = points.filter((point) => point.y >= x), below = points.filter((point) => point.y < x);
  if (!reached.length) return { v: 0, c: "never" };
  const most = (some, end) => Math.max(...some.map((point) => point.e[end]));
  const crossing = (tps, y, next, nextTps) => tps + (y - x) / (y - next.y) * (nextTps - tps);
  const last = most(reached, 0), holdsLast = (point) => point.e[0] <= last && last <= point.e[1];
  let low = last, high = most(reached, 1);
  if (!(rule === "published" && isStatic)) {
    const right = below.some(holdsLast) ? [] : below.filter((point) => point.e[0] > last);
    const next = right.filter((point) => right.every((other) => other === point || other.e[1] > point.e[0]
      || (other.e[1] === point.e[0] && other.y <= point.y)));
    const y = Math.min(...reached.filter(holdsLast).map((point) => point.y));
    if (next.length) low = Math.min(...next.map((point) => crossing(last, y, point, point.e[0])));
    high = Math.max(...reached.filter((point) => point.e[1] >= last).map((point) => {
      const from = point.e[1], least = Math.min(point.y, ...reached.filter((other) => other.e[0] === from).map((other) => other.y));
      return Math.max(from, ...below.map((other) => {
        const to = Math.min(other.e[1], ...below.filter((third) => third !== other && third.e[0] >= from).map((third) => third.e[1]));
        return to >= Math.max(other.e[0], from) ? crossing(from, least, other, to) : from;
      }));
    }));
  }
  const ends = [{ v: low, c: !below.length || last >= most(below, 1) ? "at_least" : null },
    { v: high, c: most(reached, 1) >= most(points, 0) ? "at_least" : null }];
  return low === high && ends[0].c === ends[1].c ? ends[0] : { v: null, c: null, b: ends };
};
const pbxText = (found) => {
  if (found && found.b) return found.b.map(pbxText).join("–");
  if (!found || found.v === null) return "–";
  if (found.c === "never") return "never";
  return `${found.c === "at_least" ? "≥" : ""}${found.v.toFixed(2)}`;
};

const styleOf = (numbers) => {
  const models = unique(numbers.curves.map((curve) => curve.model));
  const methods = unique(numbers.curves.map((curve) => curve.method));
  return (curve) => {
    const method = methods.indexOf(curve.method), model = models.indexOf(curve.model);
    return { colour: `var(--c${method % COLOURS})`, shape: SHAPES[model % SHAPES.length],
      dash: curve.reference ? "4 4" : DASHES[Math.floor(method / COLOURS) % DASHES.length] };
  };
};
const mark = (shape, x, y, colour, title) => {
  const common = { fill: colour, stroke: "var(--paper)", "stroke-width": 1, class: "mark" };
  const corners = { square: "-4,-4 4,-4 4,4 -4,4", diamond: "0,-6 6,0 0,6 -6,0", triangle: "0,-6 5.5,4.5 -5.5,4.5" };
  const node = shape === "circle" ? draw("circle", { r: 4.5, ...common }) : draw("polygon", { points: corners[shape], ...common });
  node.setAttribute("transform", `translate(${x},${y})`);
  if (title) node.append(draw("title", { text: title }));
  return node;
};

// What is drawn of one curve: points with a place, in the order of tokens per step.
const placed = (curve, where, count) => {
  const points = where.suite ? curve.suites[where.suite].points : curve.cells.filter((cell) => cell.task === where.task);
  return points.filter((point) => point.y !== null && (point.t !== null || point.b !== null) && !(where.task && point.r))
    .map((point) => (point.b === null ? { ...point, x: point.t[count][0], e: [point.t[count][0], point.t[count][0]], ends: point.t[count].slice(1), rate: round(point.t[count][0], 2) }
      : { ...point, x: Math.sqrt(point.b[count][0] * point.b[count][1]), e: point.b[count], ends: point.b[count], rate: point.b[count].map((end) => round(end, 2)).join(" to ") }))
    .sort((a, b) => a.x - b.x);
};

const plot = (lines, oracles, x, width, label) => {
  const height = Math.min(440, Math.max(280, width * .5)), left = 44, right = 12, top = 12, bottom = 44;
  const rates = [...lines.flatMap((line) => line.points.map((point) => point.x)), ...oracles.map((found) => found.tps)];
  const low = 2 ** Math.floor(Math.log2(Math.min(1, ...rates))), high = 2 ** Math.ceil(Math.log2(Math.max(2, ...rates)));
  const across = (tps) => left + (width - left - right) * Math.log2(Math.max(tps, low) / low) / Math.log2(high / low);
  const up = (percent) => top + (height - top - bottom) * (1 - percent / 100);
  const svg = draw("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": label });
  for (let percent = 0; percent <= 100; percent += 20) {
    svg.append(draw("line", { class: "grid", x1: left, x2: width - right, y1: up(percent), y2: up(percent) }),
      draw("text", { x: left - 6, y: up(percent) + 4, "text-anchor": "end", text: percent }));
  }
  for (let tps = low; tps <= high; tps *= 2) {
    svg.append(draw("line", { class: "grid", x1: across(tps), x2: across(tps), y1: top, y2: height - bottom }),
      draw("text", { x: across(tps), y: height - bottom + 18, "text-anchor": "middle", text: tps }));
  }
  svg.append(draw("text", { x: (left + width - right) / 2, y: height - 6, "text-anchor": "middle", text: "tokens per step" }),
    draw("text", { x: 12, y: (top + height - bottom) / 2, "text-anchor": "middle", transform: `rotate(-90 12 ${(top + height - bottom) / 2})`, text: "score, percent" }));
  for (const { points, style, label: name } of lines) {
    const drawn = points.filter((point) => point.i);
    if (drawn.length > 1) {
      const edge = [...drawn.map((p) => `${across(p.x)},${up(p.i[1])}`), ...drawn.reverse().map((p) => `${across(p.x)},${up(p.i[0])}`)];
      svg.append(draw("polygon", { class: "band", points: edge.join(" "), fill: style.colour }));
    }
    svg.append(draw("polyline", { class: "curve", points: points.map((p) => `${across(p.x)},${up(p.y)}`).join(" "), fill: "none", stroke: style.colour, "stroke-width": 2, "stroke-dasharray": style.dash || null }));
    for (const point of points) {
      if (point.i) svg.append(draw("line", { class: "whisker", stroke: style.colour, x1: across(point.x), x2: across(point.x), y1: up(point.i[0]), y2: up(point.i[1]) }));
      if (point.ends.length) svg.append(draw("line", { class: "whisker", stroke: style.colour, x1: across(point.ends[0]), x2: across(point.ends[1]), y1: up(point.y), y2: up(point.y) }));
      svg.append(mark(style.shape, across(point.x), up(point.y), style.colour, `${name} ${point.s}: ${round(point.y, 1)} %${span(point.i, 1)}, ${point.rate} tokens per step${point.b ? " (bounds)" : ""}`));
    }
  }
  for (const found of oracles) {
    const place = [across(found.tps), up(found.score)], name = `oracle of ${found.oracle}`;
    svg.append(draw("line", { class: "oracle", x1: left, x2: place[0], y1: place[1], y2: place[1] }),
      draw("line", { class: "oracle", x1: place[0], x2: place[0], y1: place[1], y2: height - bottom }),
      draw("text", { class: "star", x: place[0], y: place[1] + 6, "text-anchor": "middle", text: "★" },
        draw("title", { text: `${name}: ${round(found.score, 1)} %, ${round(found.tps, 2)} tokens per step` })));
  }
  svg.append(draw("line", { class: "read", x1: left, x2: width - right, y1: up(x), y2: up(x) }),
    draw("text", { x: width - right - 2, y: up(x) - 5, "text-anchor": "end", text: `x = ${x} %` }));
  return svg;
};
const span = (ends, digits) => (ends ? ` [${round(ends[0], digits)}, ${round(ends[1], digits)}]` : "");

const tradeoff = (numbers) => {
  const style = styleOf(numbers);
  const hasSuite = (suite) => numbers.curves.some((curve) => curve.suites[suite].points.some((point) => point.y !== null && (point.t || point.b)));
  const places = () => [...numbers.suites.filter(hasSuite).map((suite) => [`suite ${suite}`, `suite ${suite}`]),
    ...numbers.tasks.map((task) => [`task ${task}`, `task ${task}`])];
  const state = { place: places()[0][0], count: 0, x: 80, rule: "published", hidden: new Set() };
  const kinds = (kind) => make("fieldset", {}, make("legend", { text: kind === "model" ? "models" : "methods" }),
    unique(numbers.curves.map((curve) => curve[kind])).map((name) => make("label", { class: "check" },
      make("input", { type: "checkbox", name: kind, value: name, checked: true, onchange: (event) => {
        state.hidden[event.target.checked ? "delete" : "add"](`${kind} ${name}`);
        show();
      } }), make("bdi", { text: name }))));
  const place = choice("place", "over", places(), (value) => { state.place = value; show(); });
  const slider = make("input", { type: "range", name: "x", min: 0, max: 100, step: 1, value: 80, oninput: () => { state.x = Number(slider.value); show(); } });
  const reading = make("span", { text: "x = 80 %" });
  at("tradeoff-controls").append(
    place,
    choice("count", "count tokens", numbers.counts.map((count, i) => [i, count]), (value) => { state.count = Number(value); show(); }),
    choice("rule", "rule of PBx", ["published", "uniform"], (value) => { state.rule = value; show(); }),
    make("label", {}, reading, slider), kinds("model"), kinds("method"));
  const show = () => {
    const [kind, ...rest] = state.place.split(" "), where = { [kind]: rest.join(" ") };
    const shown = numbers.curves.filter((curve) => !state.hidden.has(`model ${curve.model}`) && !state.hidden.has(`method ${curve.method}`));
    const lines = shown.map((curve) => ({ curve, label: curve.label, style: style(curve), points: placed(curve, where, state.count) })).filter((line) => line.points.length);
    reading.textContent = `x = ${state.x} %`;
    const width = Math.max(280, at("tradeoff-chart").clientWidth);
    const oracles = state.count === 0 && where.suite ? oraclesOver(numbers, where.suite).filter((found) => shown.some((curve) => curve.label === found.oracle)) : [];
    at("tradeoff-chart").replaceChildren(lines.length ? plot(lines, oracles, state.x, width, `Score over tokens per step, ${state.place}, ${lines.length} curves; the numbers are in the table below`)
      : make("p", { text: "No curve that is shown has a point here." }));
    const rows = lines.map(({ curve, style: look, points }) => [
      make("th", { scope: "row" }, draw("svg", { class: "swatch", viewBox: "0 0 44 14", "aria-hidden": "true" },
        draw("line", { x1: 0, x2: 44, y1: 7, y2: 7, stroke: look.colour, "stroke-width": 2, "stroke-dasharray": look.dash || null }), mark(look.shape, 22, 7, look.colour)),
      " ", make("bdi", { text: curve.label }), curve.reference ? " (reference)" : ""),
      pbxText(points.some((point) => point.b) ? pbxBetween(points, state.x, state.rule, curve.family === "static")
        : pbx(points.map((point) => [point.x, point.y]), state.x, state.rule, curve.family === "static")),
      String(points.length), curve.nfe.join("+") || "–"]);
    const table_ = table(`PB${state.x} over ${state.place}, tokens by ${numbers.counts[state.count]}`, ["curve", `PB${state.x}`, "points", "forwards"], rows);
    const points = lines.flatMap((line) => line.points.map((p) => [line.label, p.s, round(p.y, 1) + span(p.i, 1), p.rate + (p.b ? " (bounds)" : span(p.ends.length ? p.ends : null, 2))]));
    const open = at("tradeoff-legend").querySelector("details")?.open ?? false;
    at("tradeoff-legend").replaceChildren(table_, make("details", { open }, make("summary", { text: "The points as a table" }),
      table("points", ["curve", "setting", "percent", "tokens per step"], points)));
  };
  show();
  let width = at("tradeoff-chart").clientWidth;
  new ResizeObserver(() => {
    if (at("tradeoff-chart").clientWidth !== width) { width = at("tradeoff-chart").clientWidth; show(); }
  }).observe(at("tradeoff-chart"));
  return () => { fill(place.querySelector("select"), places()); show(); };
};
